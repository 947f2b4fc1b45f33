"""How systems outside are spoken to: one HTTP client, who we are to it, and what its failures mean.

Owns requests, tokens, rates and the classes of errors. Does not own what is asked: feeds read and sinks write, each
with the calls of its own systems. It knows nothing of either.
"""
