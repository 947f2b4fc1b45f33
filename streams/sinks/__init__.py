"""Posting -> Receipt: what was decided is delivered to a target, once, and the target's answer is remembered.

Owns the contract that every target meets (`contract`), the durable memory of what was delivered (`delivery`), and one
module a target. Does not own which system a trigger goes to, nor topics: the engine hands postings in and takes
receipts out. Targets never import each other.
"""
