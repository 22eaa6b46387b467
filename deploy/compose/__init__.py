"""`tfleet scale` and `tfleet autoscale`: workers in containers."""
