"""The reference job: three Avro topics by contract, keyed state, triggers and margins out; and its input and results.

It needs nothing but the standard library and fastavro, since every peer runs it in an environment of its own.
"""
