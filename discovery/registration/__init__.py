"""How a worker or a proxy keeps its own entry in the registry alive."""
