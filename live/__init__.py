"""Throughline on the whole real stack, on this machine: databases, connectors, topics, workers, wired and running.

For the demo, the stack tier of the tests, and the bench. It owns how the parts are put together, and none of them.
"""
