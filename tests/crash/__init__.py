"""The crash matrix: two workers on a real Kafka die at every point of their work, and nothing is lost or doubled.

`make crash` runs it, and the same job with kills on stock Faust beside it. KILLS, RECORDS and SEED, and STOCK_KILLS and
STOCK_RECORDS for the other, are read from the environment. SEED draws the input, and where each worker dies, how often
it passes there before, and how it comes back; in which order the two of them die is left to the machine. The last line
says what came of it: `kills N, lost 0, doubled 0`.
"""
