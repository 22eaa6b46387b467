"""Decode and preprocess images: from the bytes of a file to the input of a graph. No TensorFlow, no HTTP."""
