"""From the bytes of a picture to what a graph is fed with. No TensorFlow and no HTTP in here."""
