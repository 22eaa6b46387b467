"""Flask on the shared HTTP server: a request becomes an environ, waits for a thread, and gets its answer."""
