"""Connections to workers (upstreams)."""
