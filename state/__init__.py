"""What is remembered: keyed tables, ordered scans and durable timers of one partition.

Bytes and keys, never business: nothing here knows what a contract is. A `State` is the memory of one step on one
partition; it reads through a bounded cache and keeps writes aside until they are flushed to its `Store`.
"""

from state.store import MemoryStore, Store
from state.table import State, Table

__all__ = ["MemoryStore", "State", "Store", "Table"]
