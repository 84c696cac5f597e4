"""Messages between processes through PostgreSQL's LISTEN and NOTIFY."""

import asyncio
from collections.abc import Callable

import asyncpg
from asyncpg import Connection

from gatewayz.core.errors import Unavailable
from gatewayz.storage.database import connect, unreachable

# NOTIFY carries less than 8,000 bytes.
_LONGEST = 7_900
_BEAT = 1.0
_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Notifications:
    """One channel to every process that listens. A silent link counts as lost after two beats (2 s)."""

    def __init__(self, url: str, channel: str = "gatewayz") -> None:
        self._url = url
        self._channel = channel
        self._sender: Connection | None = None
        self._listener: Connection | None = None
        self._watch: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def publish(self, payload: str) -> None:
        """Send to all listeners, this process included. Raises Unavailable if it was not sent."""
        if len(payload.encode()) > _LONGEST:
            raise Unavailable(f"a notification of {len(payload)} characters is too long for PostgreSQL")
        try:
            async with self._sending, asyncio.timeout(2 * _BEAT):
                if self._sender is None or self._sender.is_closed():
                    self._sender = await connect(self._url)
                await self._sender.execute("SELECT pg_notify($1, $2)", self._channel, payload)
        except _FAULTS as error:
            raise unreachable(error) from error

    async def listen(self, on_message: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        """Return once subscribed; `on_lost` is called once, when a message may have been missed. Raises Unavailable."""
        await self._stop_listening()
        listener = await connect(self._url)
        try:
            await listener.add_listener(self._channel, lambda *arguments: on_message(arguments[3]))
        except _FAULTS as error:
            listener.terminate()
            raise unreachable(error) from error
        self._listener = listener
        self._watch = asyncio.create_task(_watch(listener, on_lost), name="notifications watch")

    async def close(self) -> None:
        await self._stop_listening()
        if self._sender is not None:
            self._sender.terminate()

    async def _stop_listening(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
            self._watch = None
        if self._listener is not None:
            self._listener.terminate()
            self._listener = None


async def _watch(listener: Connection, on_lost: Callable[[], None]) -> None:
    try:
        while True:
            await asyncio.sleep(_BEAT)
            await listener.fetchval("SELECT 1", timeout=_BEAT)
    except _FAULTS:
        pass  # told by on_lost
    finally:
        listener.terminate()
        on_lost()
