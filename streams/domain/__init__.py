"""The vocabulary of a professional-services firm: money, time, rows as facts, terms, ledger, decisions.

Owns what words mean and how amounts are computed from values it is handed. Does not own where values come from, when
things happen, or what is remembered: no clock, no I/O, no state.
"""
