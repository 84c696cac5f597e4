"""The time the cache goes by, handed in so that tests own it."""

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the Unix epoch: what workers tell each other."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: what one worker measures by."""
        ...
