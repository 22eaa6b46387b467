"""The HTTP contract between proxy, worker and client. It imports nothing else of tfleet."""
