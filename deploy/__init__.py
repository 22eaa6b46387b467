"""The `tfleet` program, and starting fleets: `tfleet up`, containers, Swarm, Nomad."""
