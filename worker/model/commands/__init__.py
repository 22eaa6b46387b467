"""The commands of `tfleet model`, each imported when it runs."""
