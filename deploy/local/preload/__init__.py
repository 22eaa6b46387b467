"""Fork workers from a process that has imported TensorFlow, so that each starts at once and shares memory."""
