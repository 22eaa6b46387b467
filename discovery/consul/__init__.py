"""Clients of Consul's HTTP API."""
