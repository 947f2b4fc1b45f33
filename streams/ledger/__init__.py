"""The contract's partition: facts move the ledger, the ledger yields decisions.

Owns the memory of contracts, projects and items, the order in which a cap is drawn, and when things are settled. Does
not own what anything is worth (`streams.rules`) or where facts come from (`streams.intake`).
"""
