"""Partitioning is Kafka's murmur2: the vectors are those of Kafka's own tests."""

import pytest

from streams.partitioning import murmur2, partition_of

VECTORS = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("key", "signed"), VECTORS)
def test_murmur2_is_kafkas(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@pytest.mark.parametrize(("key", "signed"), VECTORS)
@pytest.mark.parametrize("partitions", [2, 4, 12, 64])
def test_a_partition_is_the_hash_without_its_sign(key: bytes, signed: int, partitions: int) -> None:
    assert partition_of(key.decode(), partitions) == (signed & 0x7FFFFFFF) % partitions


def test_keys_are_utf8() -> None:
    assert partition_of("Müller", 64) == (murmur2("Müller".encode()) & 0x7FFFFFFF) % 64


def test_one_partition_and_no_key() -> None:
    assert partition_of("anything", 1) == 0
    assert partition_of(None, 8) == 0


def test_every_length_of_a_key_has_a_partition() -> None:
    found = {partition_of("x" * length, 8) for length in range(64)}
    assert found == set(range(8))
