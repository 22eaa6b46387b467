"""The worker's HTTP server."""
