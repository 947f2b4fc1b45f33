"""Change becomes Fact: intake owns rows.

Owns the last good version of every row, replay guards, what is refused and what waits for its project. Does not own
what a fact is worth, nor where bytes come from.
"""
