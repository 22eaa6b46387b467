"""`tfleet up --models`: a folder of models and versions, watched, and the workers that serve them."""
