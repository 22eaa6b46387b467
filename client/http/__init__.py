"""HTTP, as far as the client needs it."""
