"""The simulated bus between workers: late, acknowledged, and lost loudly or silently."""

import asyncio
import functools
import random
from collections.abc import Callable

from gatewayz.cache.errors import BusDown
from tests.simulation.loop import SimLoop

ACKNOWLEDGED_WITHIN = 1.0
NOTICED_WITHIN = 2.0
"""A subscription that is lost silently is noticed by its worker's heartbeat within these seconds."""


class Hub:
    """Where all messages go through. While it `is_down`, nothing is sent and nobody can subscribe."""

    def __init__(self, loop: SimLoop, rng: random.Random) -> None:
        self.loop = loop
        self.rng = rng
        self.ends: dict[SimBus, None] = {}
        self.is_down = False

    def delay(self) -> float:
        late = self.rng.random() < 0.02
        return self.rng.random() * (0.05 if late else 0.002)

    def tell(self, payload: str) -> None:
        """What the database itself says to all; nobody confirms."""
        for end in list(self.ends):
            end.sent(functools.partial(end.take, payload))

    def fall(self) -> None:
        self.is_down = True
        for end in list(self.ends):
            end.lose(after=self.delay())

    def rise(self) -> None:
        self.is_down = False


class SimBus:
    """One worker's end, as the protocol `Bus` has it. `on_deaf` is called when messages begin to pass it by."""

    def __init__(self, hub: Hub, on_deaf: Callable[[], object]) -> None:
        self._hub = hub
        self._on_deaf = on_deaf
        self._on_message: Callable[[str], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        self._last = 0.0
        self.is_unreachable = False
        self.deaf_since: float | None = None
        """Since when messages pass it by without its knowing."""

    async def publish(self, payload: str) -> bool:
        await self._way()
        can_tell = self._on_message is not None
        listeners = list(self._hub.ends)
        applied: asyncio.Future[None] = self._hub.loop.create_future()
        left = dict.fromkeys(listeners)

        def take(end: SimBus) -> None:
            if end.take(payload):
                left.pop(end, None)
                if not left and not applied.done():
                    applied.set_result(None)

        for end in listeners:
            end.sent(functools.partial(take, end))
        if not listeners or not can_tell:
            return can_tell  # one that is deaf may not know it
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN):
                await applied
        except TimeoutError:
            return False
        await asyncio.sleep(self._hub.delay())
        return True

    async def listen(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        await self._way()
        self._on_message, self._on_lost = on_message, on_lost
        self.deaf_since = None
        self._hub.ends[self] = None

    async def close(self) -> None:
        self._forget()

    def sent(self, arrived: Callable[[], object]) -> None:
        """Late, and in order."""
        self._last = max(self._last, self._hub.loop.time() + self._hub.delay())
        self._hub.loop.call_at(self._last, arrived)

    def take(self, payload: str) -> bool:
        """Whether it was applied, which is then confirmed."""
        if self not in self._hub.ends or self._on_message is None:
            return False
        self._on_message(payload)
        return True

    def lose(self, *, after: float) -> None:
        """From now on messages pass it by; it notices after that many seconds."""
        if self in self._hub.ends:
            del self._hub.ends[self]
            self._on_deaf()
            self.deaf_since = self._hub.loop.time()
            self._hub.loop.call_later(after, self._notice, self._on_lost)

    def vanish(self) -> None:
        """Its process is gone."""
        self.is_unreachable = True
        self._forget()

    def _notice(self, on_lost: Callable[[], None] | None) -> None:
        self.deaf_since = None
        if on_lost is not None and on_lost is self._on_lost:
            self._forget()
            on_lost()

    def _forget(self) -> None:
        self._hub.ends.pop(self, None)
        self._on_message = self._on_lost = None

    async def _way(self) -> None:
        await asyncio.sleep(self._hub.delay())
        if self._hub.is_down or self.is_unreachable:
            raise BusDown("the simulated bus is down")
