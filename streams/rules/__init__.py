"""What things are worth and what follows: one rule, one small file, pure functions over what they are given.

Owns the rules of billing, margin and drift. Does not own state, time, topics or the order in which things arrive.
"""
