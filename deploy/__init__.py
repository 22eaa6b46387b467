"""Everything that starts things: the `tfleet` program and `tfleet up`."""
