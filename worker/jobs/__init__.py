"""Jobs at a worker: it takes them from Redis, and computes them among its requests."""
