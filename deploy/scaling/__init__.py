"""`tfleet scale` and `tfleet autoscale`: as many workers in a compose project as are wanted."""
