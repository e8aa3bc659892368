"""Many jobs at once, and steady work for a long time: `make load`."""
