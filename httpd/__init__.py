"""The HTTP/1.1 server of the proxy and the worker."""
