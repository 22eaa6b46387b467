"""Answers that name a worker instead of passing bytes on."""
