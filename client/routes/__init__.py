"""The two ways an image can go: through a proxy, or straight to a worker."""
