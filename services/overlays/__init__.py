"""A document drawn into the frames of its video, for the eye."""
