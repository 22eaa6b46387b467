"""Training on several processes and machines: `tfleet train` runs a user's Keras script data-parallel."""
