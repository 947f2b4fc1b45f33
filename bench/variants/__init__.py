"""The reference job without a peer: on this engine, and as a bare loop; and other jobs on this engine.

Each is a program: `python -m bench.variants.NAME BROKERS GROUP FOLDER`.
"""
