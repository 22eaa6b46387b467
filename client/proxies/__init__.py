"""Which proxy to ask."""
