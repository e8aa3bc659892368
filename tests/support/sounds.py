"""Sounds with exact truth: those that `reelgraph eval` is measured on."""

from services.evaluation.sounds import clicks, noise, seconds, tone, write_wav

__all__ = ["clicks", "noise", "seconds", "tone", "write_wav"]
