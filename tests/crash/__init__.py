"""The crash matrix: two workers on a real Kafka die at every point of their work, and nothing is lost or doubled.

`make crash` runs it. KILLS, RECORDS and SEED are read from the environment; the last line says what came of it.
"""
