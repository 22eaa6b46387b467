"""What every process needs of its machine. It imports nothing else of tfleet."""
