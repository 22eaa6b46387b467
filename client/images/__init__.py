"""Images to send: where their bytes are."""
