"""The bodies that a worker reads and answers with, by protocol. Pure functions: no Flask, no TensorFlow."""
