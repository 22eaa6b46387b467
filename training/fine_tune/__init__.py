"""`tfleet retrain --fine-tune`: the last layers of the network are trained as well, by Keras."""
