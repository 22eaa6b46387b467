"""Which worker gets a request: values and decisions."""
