"""What a value takes in memory, estimated: decoded, it is several times its encoded bytes, and differs by entity."""

import gc
import sys
from enum import Enum

from msgspec import Struct

ENTRY_BYTES = 800
"""What an entry takes beside its value and key: the entry, its life, its dictionary's slot, its ghost. Measured, as the
eighth that the allocator cannot use, by python -m benchmarks.micro.l1_memory
"""
FIRST_WEIGHED = 8
WEIGHED_EACH = 32
ALWAYS_WEIGHED_FROM = 16 * 1024
SAMPLED = 32
_ROUNDING = 8  # the allocator hands out blocks of 16, 32, 48 … bytes


def weigh(value: object) -> int:
    """Bytes of a value with all it consists of. Of a container with many parts 32 are weighed for all.

    A part that is shared with other values is counted in each, so the sum is rather too high.
    """
    if value is None or isinstance(value, bool | Enum | type):
        return 0
    own = sys.getsizeof(value) + _ROUNDING
    parts = _parts(value)
    if len(parts) <= SAMPLED:
        return own + sum(map(weigh, parts))
    sample = parts[:: len(parts) // SAMPLED]
    return own + sum(map(weigh, sample)) * len(parts) // len(sample)


def _parts(value: object) -> list[object]:
    if isinstance(value, str | bytes | int | float):
        return []
    if isinstance(value, Struct):  # one without garbage collection has no referents
        return [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, dict):  # its referents leave out keys that are text
        return [*value.keys(), *value.values()]
    return gc.get_referents(value)


class Scale:
    """Weighs the values of one entity: some of them, and all large ones, really; the others by what those came to."""

    def __init__(self) -> None:
        self._seen = 0
        self._encoded = 0
        self._decoded = 0

    def weight(self, text: str, value: object, encoded: int) -> int:
        """Bytes of an entry. `encoded`: length of the value's encoding before compression."""
        if value is None:
            decoded = 0
        else:
            self._seen = seen = self._seen + 1
            if encoded < ALWAYS_WEIGHED_FROM and seen > FIRST_WEIGHED and seen % WEIGHED_EACH:
                decoded = encoded * self._decoded // self._encoded
            else:
                decoded = self._weighed(value, encoded)
        return (ENTRY_BYTES + len(text) + decoded) * 9 // 8

    def _weighed(self, value: object, encoded: int) -> int:
        decoded = weigh(value)
        if self._seen % (FIRST_WEIGHED * WEIGHED_EACH) == 0:
            self._encoded //= 2  # so that the ratio follows values that change their kind
            self._decoded //= 2
        self._encoded += max(1, encoded)
        self._decoded += decoded
        return decoded
