"""Where this worker can be reached."""
