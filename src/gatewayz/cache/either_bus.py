"""Two buses as one: what is published goes over both, and a worker is deaf only when both are lost."""

import asyncio
from collections.abc import Callable, Sequence

from gatewayz.cache.bus import Bus
from gatewayz.cache.errors import BusDown

_RETRY_FIRST = 0.1
_RETRY_LAST = 2.0


class EitherBus:
    """A message may arrive twice, which an invalidation does not mind.

    A worker that has lost one bus still hears everything over the other, as every message goes over all.
    A message that only one bus carried reaches whoever listens there: a worker that has lost just that one
    may miss it, so `publish` is True only where the first bus that sent it was heard by all its listeners.
    """

    def __init__(self, buses: Sequence[Bus]) -> None:
        self._buses = buses
        self._tasks: list[asyncio.Task[None]] = []

    async def publish(self, payload: str) -> bool:
        results = await asyncio.gather(*(bus.publish(payload) for bus in self._buses), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, BusDown):
                raise result
        sent = [result for result in results if isinstance(result, bool)]
        if not sent:
            raise BusDown("no bus could send")
        return len(sent) == len(self._buses) and any(sent)

    async def listen(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        await self._stop()
        ears = _Ears(on_lost)
        first_tries = [asyncio.Event() for _ in self._buses]
        self._tasks = [
            asyncio.create_task(_keep_listening(bus, on_message, ears, tried), name="cache bus")
            for bus, tried in zip(self._buses, first_tries, strict=True)
        ]
        for tried in first_tries:
            await tried.wait()
        if not ears.hearing:
            await self._stop()
            raise BusDown("no bus could listen")

    async def close(self) -> None:
        await self._stop()
        for bus in self._buses:
            await bus.close()

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []


class _Ears:
    """Counts the buses that are heard; calls `on_lost` once when the last one goes."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self.hearing = 0
        self._on_lost = on_lost
        self._is_over = False

    def gained(self) -> None:
        self.hearing += 1

    def lost(self) -> None:
        self.hearing -= 1
        if not self.hearing and not self._is_over:
            self._is_over = True
            self._on_lost()


async def _keep_listening(bus: Bus, on_message: Callable[[str], None], ears: _Ears, tried: asyncio.Event) -> None:
    delay = _RETRY_FIRST
    while True:
        lost = asyncio.Event()
        try:
            await bus.listen(on_message, lost.set)
        except BusDown:
            tried.set()
            await asyncio.sleep(delay)
            delay = min(2 * delay, _RETRY_LAST)
            continue
        ears.gained()
        tried.set()
        delay = _RETRY_FIRST
        try:
            await lost.wait()
        finally:
            ears.lost()
