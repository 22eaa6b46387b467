"""The addresses of this worker: in the fleet's network, and for clients outside."""
