"""Load balancing: which worker gets a request. Values and decisions."""
