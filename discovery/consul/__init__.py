"""Everything that speaks to a Consul."""
