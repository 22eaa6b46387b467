"""The Flask classifier: one TensorFlow session, served over HTTP, registered in Consul."""
