"""Kafka's murmur2 partitioning, so that the same key lands on the same partition as any Kafka client would put it."""

from functools import lru_cache
from typing import Final

_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Return the 32-bit murmur2 hash of a key with Kafka's seed, as an unsigned number."""
    length = len(key)
    hashed = 0x9747B28C ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        part = int.from_bytes(key[at : at + 4], "little") * _M & _MASK
        part = (part ^ part >> 24) * _M & _MASK
        hashed = (hashed * _M & _MASK) ^ part
    if whole < length:
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    hashed = (hashed ^ hashed >> 13) * _M & _MASK
    return hashed ^ hashed >> 15


@lru_cache(maxsize=65536)
def partition_of(key: str | None, partitions: int) -> int:
    """Return the partition of a key among so many; records without a key go to the first."""
    if partitions == 1 or key is None:
        return 0
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions
