"""What is changing: its rows are committed, and Redis may still hold the older value."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from gatewayz.cache.cascade import Target

CONFIRMED_WITHIN = 0.050


class Changing:
    """By transaction: the targets between the news of their commit and the news that Redis was told.

    A read that memory cannot answer waits for that, so that it neither takes the older value from Redis nor loads
    what is about to be invalidated once more. Whatever is not confirmed within 50 ms is handed to `on_late`, and
    waiting ends. `now`: how many transactions change a target.
    """

    def __init__(self, on_late: Callable[[Collection[Target]], None]) -> None:
        self._on_late = on_late
        self._targets: dict[str, set[Target]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.now: Counter[Target] = Counter()
        self._moved = asyncio.Event()

    def begin(self, xact: str, targets: Iterable[Target]) -> None:
        known = self._targets.setdefault(xact, set())
        added = set(targets) - known
        known |= added
        self.now.update(added)
        if xact not in self._timers:
            self._timers[xact] = asyncio.get_running_loop().call_later(CONFIRMED_WITHIN, self._expire, xact)

    def end(self, xacts: Iterable[str]) -> None:
        for xact in xacts:
            self._forget(xact)

    def close(self) -> None:
        self.end(list(self._targets))

    async def settled(self, name: str, texts: Sequence[str]) -> bool:
        """True once none of these keys is changing; False after 50 ms of one change after the other."""
        try:
            async with asyncio.timeout(CONFIRMED_WITHIN):
                while self.concerns(name, texts):
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    def concerns(self, name: str, texts: Sequence[str]) -> bool:
        """Whether any of these keys is changing."""
        counts = self.now
        return Target(name, None) in counts or any(Target(name, text) in counts for text in texts)

    def _expire(self, xact: str) -> None:
        self._on_late(self._targets[xact])
        self._forget(xact)

    def _forget(self, xact: str) -> None:
        if timer := self._timers.pop(xact, None):
            timer.cancel()
        for target in self._targets.pop(xact, ()):
            self.now[target] -= 1
            if not self.now[target]:
                del self.now[target]
        self._moved.set()
        self._moved = asyncio.Event()
