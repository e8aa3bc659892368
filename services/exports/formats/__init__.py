"""One file a format; `services/exports/registry.py` finds them."""
