"""Keeping a process's own entry in the registry alive, and removing stale ones."""
