"""The reference job without a peer: on this engine, and as a bare loop. `python -m bench.variants.NAME BROKERS GROUP FOLDER`."""
