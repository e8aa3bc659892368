"""Moving pictures made on the spot: those that `reelgraph eval` is measured on."""

from services.evaluation.pictures import Picture, texture, window, write_video

__all__ = ["Picture", "texture", "window", "write_video"]
