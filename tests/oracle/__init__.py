"""The batch computation that the stream must equal, written from the domain contract and not from the rules.

Nothing here imports the product: two readings of one contract are worth more than one reading twice.
"""
