"""What the proxy counts and logs."""
