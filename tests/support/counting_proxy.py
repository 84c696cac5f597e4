"""Stands before a server's unix socket and counts what its clients send it."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_CHUNK = 1 << 16


class CountingProxy:
    """`sent`: how often a client has sent something: at least once for each answer that somebody waited for."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self.sent = 0

    async def _accepted(self, reader: StreamReader, writer: StreamWriter) -> None:
        there, onward = await asyncio.open_unix_connection(self._server)
        await asyncio.gather(self._pump(reader, onward, counts=True), self._pump(there, writer, counts=False))

    async def _pump(self, reader: StreamReader, writer: StreamWriter, *, counts: bool) -> None:
        with suppress(OSError):
            while received := await reader.read(_CHUNK):
                self.sent += counts
                writer.write(received)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def counting_proxy(server: Path, place: Path) -> AsyncIterator[CountingProxy]:
    """Listens at `place`."""
    proxy = CountingProxy(server)
    async with await asyncio.start_unix_server(proxy._accepted, place):
        yield proxy
