"""What a worker is and how it is found. No Flask and no TensorFlow in here."""
