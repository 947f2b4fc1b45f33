"""Native rows -> rows of the reference shape: where a system's tables are of its own design, mapping files say how.

Owns the newest version of every native row that a mapping needs, who needs which, and what was told of each assembled
row. Does not own what rows mean: what it writes is read by intake as the rows of any other system are.
"""
