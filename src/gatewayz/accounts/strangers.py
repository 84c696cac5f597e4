"""Keys that do not vouch for themselves and that this worker does not know: how many are looked up, at most.

Keys made by this installation carry a checksum, so a made-up one is refused with no look-up. Keys of former releases
and those that settings give have none: a flood of made-up ones could keep the database busy. So look-ups of such keys
come out of a bucket, a few at a time. A key that was good lately goes past the bucket: a flood locks nobody out who has
been in, only who comes for the first time must try again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from gatewayz.core.clock import Clock
from gatewayz.core.errors import TooManyUnknownKeys
from gatewayz.core.ids import KeyDigest

AT_ONE_TIME = 4
MOST_REMEMBERED = 10_000


class Strangers:
    """At most `burst` look-ups at once and `rate` a second after that, for this worker. `known`: never counted."""

    def __init__(self, clock: Clock, *, rate: float, burst: int, known: Iterable[KeyDigest] = ()) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._filled_at = clock.monotonic()
        self._known = frozenset(known)
        self._welcome: dict[KeyDigest, None] = {}
        self._in_turn: set[KeyDigest] = set()
        self._turns = asyncio.Semaphore(AT_ONE_TIME)

    @asynccontextmanager
    async def turn(self, digest: KeyDigest) -> AsyncIterator[None]:
        """The block may look the key up. Raises TooManyUnknownKeys."""
        if digest in self._welcome or digest in self._known:
            yield
            return
        if digest not in self._in_turn:
            self._take()
        # Who asks for the same key meanwhile shares its one look-up.
        self._in_turn.add(digest)
        try:
            async with self._turns:
                yield
        finally:
            self._in_turn.discard(digest)

    def found(self, digest: KeyDigest, *, is_good: bool) -> None:
        """Tell what the look-up said."""
        self._welcome.pop(digest, None)
        if not is_good:
            return
        self._welcome[digest] = None
        if len(self._welcome) > MOST_REMEMBERED:
            del self._welcome[next(iter(self._welcome))]

    def _take(self) -> None:
        now = self._clock.monotonic()
        self._left = min(self._burst, self._left + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._left < 1:
            # Not 401, as the key may be good; not 503, as the worker is well and no proxy shall think otherwise.
            raise TooManyUnknownKeys(
                "too many API keys that the gateway does not know are being tried; if yours is good, try again",
                retry_after=(1 - self._left) / self._rate,
            )
        self._left -= 1
