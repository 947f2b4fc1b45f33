"""Doers: who carries out the steps of an activation, in systems outside.

Each is behind the contract in `contract`. Owns how something is made there, found again and taken back. Does not own
when (`streams.engine.activating`), nor which doer is asked (`plan`).
"""
