"""One file per command of `reelgraph`."""
