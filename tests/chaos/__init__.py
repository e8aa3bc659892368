"""Breaking a running service on purpose: `make chaos`."""
