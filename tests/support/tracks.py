"""Results of other analyzers, written by hand: those that `reelgraph eval` hands to analyzers that read them."""

from services.evaluation.tracks import Tracks, captions, result, segments, sound_of, spoken

__all__ = ["Tracks", "captions", "result", "segments", "sound_of", "spoken"]
