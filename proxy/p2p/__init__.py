"""p2p mode: answers that name a worker. Image bytes do not pass the proxy."""
