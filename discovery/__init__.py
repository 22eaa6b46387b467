"""Service discovery: which workers and proxies exist, and how they are found. No Flask and no TensorFlow."""
