"""Time as a thing that is handed in, so that tests own it."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the Unix epoch. May jump; use it for timestamps only."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment. Never goes back; use it for ages and deadlines."""
        ...


class SystemClock:
    """Asked several times by each read of the cache: so it is the functions themselves, without a call around."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
