"""Buses of one process, joined by a wire that tests can cut."""

from collections.abc import Callable

from gatewayz.cache.errors import BusDown


class Wire:
    def __init__(self) -> None:
        self.ends: list[WireBus] = []
        self.messages: list[str] = []


class WireBus:
    """One worker's end. `cut` loses the subscription; `listen` works again unless `down`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._on_message: Callable[[str], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        self.down = False
        wire.ends.append(self)

    async def publish(self, payload: str) -> bool:
        if self.down:
            raise BusDown("the wire is cut")
        self._wire.messages.append(payload)
        for end in self._wire.ends:
            if end._on_message is not None:
                end._on_message(payload)
        return True

    async def listen(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        if self.down:
            raise BusDown("the wire is cut")
        self._on_message, self._on_lost = on_message, on_lost

    async def close(self) -> None:
        self._on_message = self._on_lost = None

    def cut(self) -> None:
        self.down = True
        on_lost = self._on_lost
        self._on_message = self._on_lost = None
        if on_lost is not None:
            on_lost()
