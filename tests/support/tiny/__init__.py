"""Checkpoints of the real architectures, a few hundred kilobytes each, with random weights made on this machine.

They are written by the library's own `save_pretrained`, pinned by a weights file of the test, pulled into a store and
loaded by the code that loads the real ones. What they say makes no sense; its shape, times and bounds must be right.
"""
