"""How right the analyzers are: on clips made on the spot with exact truth, and on reels whose truth is written down.

`reelgraph eval` prints the table; the tests share its clip makers and hold a part of it as a bound.
"""
