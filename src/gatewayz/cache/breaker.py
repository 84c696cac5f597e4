"""Stops asking a tier that does not answer, and asks again with one probe at a time."""

from enum import StrEnum

from gatewayz.cache.clock import Clock

FAILURES = 5
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 1.5


class BreakerState(StrEnum):
    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Breaker:
    """Five failures in a row or one timeout open it, for 1 s and then 1.5 s; then one probe decides.

    So a Redis that is back is used again within 2 s.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until: float | None = None
        self._probing = False
        self.opened = 0

    @property
    def state(self) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        if self._probing or self._clock.monotonic() >= self._open_until:
            return BreakerState.HALF_OPEN
        return BreakerState.OPEN

    def admits(self) -> bool:
        """Whether to ask now. After True, exactly one of `succeeded`, `failed` or `abandoned` must follow."""
        if self._open_until is None:
            return True
        if self._probing or self._clock.monotonic() < self._open_until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        if not self._failures and self._open_until is None:
            return  # which is nearly always so
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until = None
        self._probing = False

    def failed(self, *, timeout: bool) -> None:
        if self._open_until is not None and not self._probing:
            return  # asked before it opened
        self._failures += 1
        if self._probing:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        if timeout or self._probing or self._failures >= FAILURES:
            self._open_until = self._clock.monotonic() + self._pause
            self.opened += 1
        self._probing = False

    def abandoned(self) -> None:
        """The one who asked was cancelled: nothing is known, the next may probe."""
        self._probing = False
