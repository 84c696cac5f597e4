"""A server on a unix socket that answers commands as the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hiredis import Reader

from tests.support.servers import short_directory

HELLO = b"%1\r\n+proto\r\n:3\r\n"


def usual(command: list[bytes]) -> bytes | None:
    """HELLO and the like are welcome; INFO is refused; PING is answered; everything else is held up for ever."""
    if command[0] == b"HELLO":
        return HELLO
    if command[0] == b"INFO":
        return b"-NOPERM no permission\r\n"
    if command[0] in (b"SELECT", b"CLIENT"):
        return b"+OK\r\n"
    return b"+PONG\r\n" if command[0] == b"PING" else None


class ScriptedRedis:
    """`answer` gives the bytes for a command, or None for silence. `commands` is all that was said."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.answer: Callable[[list[bytes]], bytes | None] = usual
        self.commands: list[list[bytes]] = []
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.socket)

    async def stop(self) -> None:
        """Refuse connections from now on, and break those that there are."""
        if self._server is not None:
            self._server.close()
            self.socket.unlink(missing_ok=True)
            self._server = None
        self.break_links()

    def break_links(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def push(self, data: bytes) -> None:
        for writer in self._writers:
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        resp: Any = Reader()
        try:
            while data := await reader.read(65_536):
                resp.feed(data)
                while command := resp.gets():
                    self.commands.append(command)
                    if (reply := self.answer(command)) is not None:
                        writer.write(reply)
        except ConnectionError:
            pass  # broken by the test
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def scripted_redis() -> AsyncIterator[ScriptedRedis]:
    with short_directory() as directory:
        server = ScriptedRedis(directory / "redis.sock")
        await server.start()
        try:
            yield server
        finally:
            await server.stop()
