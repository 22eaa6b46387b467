"""Metrics and the access log of the proxy."""
