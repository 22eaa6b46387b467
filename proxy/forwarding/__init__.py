"""Forward mode: a request, its attempts at workers, and its response."""
