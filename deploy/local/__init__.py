"""`tfleet up`: a whole fleet on this machine."""
