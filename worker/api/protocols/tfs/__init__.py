"""TensorFlow Serving's REST API, version 1: its bodies as tensors, and tensors as its bodies.

Pure functions: no Flask, no TensorFlow. What a body may cost is checked before it is paid (limits.py).
"""
