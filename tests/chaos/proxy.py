"""Stands between workers and Redis, and spoils one direction when told to.

    python -m tests.chaos.proxy REDIS_SOCKET SOCKET…

Reads lines from standard input and answers `ok` to each: `2 up stall` holds what worker 2 sends, `2 down swallow`
throws away what it would receive, `2 up pass` ends that, `2 both cut` closes its connections.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterable
from contextlib import suppress

CHUNK = 1 << 16


class Direction:
    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.opened.set()
        self.swallows = False

    def become(self, mode: str) -> None:
        self.swallows = mode == "swallow"
        if mode == "stall":
            self.opened.clear()
        else:
            self.opened.set()

    async def pump(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):
            while received := await reader.read(CHUNK):
                await self.opened.wait()
                if not self.swallows:
                    writer.write(received)
                    await writer.drain()
        writer.close()


class Link:
    """All connections of one worker."""

    def __init__(self, redis: str) -> None:
        self._redis = redis
        self._writers: set[StreamWriter] = set()
        self.directions = {"up": Direction(), "down": Direction()}

    async def accepted(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_unix_connection(self._redis)
        except OSError:
            writer.close()
            return
        both = {writer, onward}
        self._writers |= both
        try:
            await asyncio.gather(
                self.directions["up"].pump(reader, onward), self.directions["down"].pump(there, writer)
            )
        finally:
            self._writers -= both

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


async def main(redis: str, sockets: Iterable[str]) -> None:
    links = []
    for socket in sockets:
        link = Link(redis)
        links.append(link)
        await asyncio.start_unix_server(link.accepted, socket)
    _say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        number, direction, mode = line.split()
        link = links[int(number)]
        if mode == "cut":
            link.cut()
        else:
            link.directions[direction].become(mode)
        _say("ok")


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
