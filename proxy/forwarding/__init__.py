"""Forward mode: one request, its attempts and its answer."""
