"""Delivery: what was decided reaches a target once, in order, as fast as the target allows.

Owns the memory of what was sent, the order of it, and who calls a target when. Does not own targets (`streams.sinks`),
nor what is decided. Start reading at `delivery`.
"""
