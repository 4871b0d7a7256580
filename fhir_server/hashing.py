"""Stable 64-bit hashes for index values, and the lane that a patient's rows share."""

from functools import lru_cache
from hashlib import blake2b

LANES = 128
"""Lanes in the high bits of a resource's internal id; for placement only."""

LANE_SHIFT = 40
"""Bits below the lane: 2**40 resources, and a rid still fits in the six-byte integers of SQLite."""

SEQUENCE_MASK = (1 << LANE_SHIFT) - 1


@lru_cache(maxsize=65536)
def value_hash(text: str) -> int:
    """Hash an index value to a signed 64-bit integer, the same in every process and release."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


def lane_of(patient: str) -> int:
    """Choose the lane of a patient; resources without a patient share lane 0."""
    return value_hash(patient) % LANES if patient else 0


def rid_of(lane: int, sequence: int) -> int:
    """Compose an internal id from lane and sequence number."""
    return (lane << LANE_SHIFT) | sequence
