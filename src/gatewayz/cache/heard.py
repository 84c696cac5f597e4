"""Which invalidations of one entity this worker heard of, and when: for those who ask why a read was not a hit."""

from msgspec import Struct

MOST_KEYS = 1000


class Invalidated(Struct, frozen=True):
    """`at`: on this worker's monotonic clock. `is_whole`: every key of the entity was meant."""

    at: float
    is_whole: bool


class Heard:
    """The last one of each key, for the last thousand keys, and the last one of all keys at once."""

    def __init__(self) -> None:
        self._whole: float | None = None
        self._keys: dict[str, float] = {}

    def note(self, text: str | None, at: float) -> None:
        """`text`: the key, or None for every key of the entity."""
        if text is None:
            self._whole = at
            self._keys.clear()
            return
        self._keys.pop(text, None)
        self._keys[text] = at
        if len(self._keys) > MOST_KEYS:
            del self._keys[next(iter(self._keys))]

    def last(self, text: str) -> Invalidated | None:
        """The last one that concerned this key."""
        if (at := self._keys.get(text)) is not None:
            return Invalidated(at, is_whole=False)
        return Invalidated(self._whole, is_whole=True) if self._whole is not None else None
