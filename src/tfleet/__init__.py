"""tfleet: a TensorFlow model behind curl on one machine, and the same model spread over many."""

__version__ = "0.1.0"
