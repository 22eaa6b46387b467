"""Making models: `tfleet retrain` turns a folder of photographs into a model folder that tfleet serves."""
