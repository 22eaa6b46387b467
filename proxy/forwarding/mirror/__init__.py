"""Mirrored requests: a copy goes to the canary, whose answer is compared, counted and thrown away."""
