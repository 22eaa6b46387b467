"""Jobs at the proxy: requests that wait in Redis for a worker."""
