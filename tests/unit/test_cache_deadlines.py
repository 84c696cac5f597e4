import asyncio
import time

import pytest

from gatewayz.cache.wire.deadlines import Deadlines
from gatewayz.cache.wire.errors import Late


async def test_what_is_not_answered_in_time_is_late() -> None:
    deadlines = Deadlines()
    loop = asyncio.get_running_loop()
    answered, silent = loop.create_future(), loop.create_future()
    for future in (answered, silent):
        deadlines.add(future, loop.time() + 0.01)
    answered.set_result(1)
    with pytest.raises(Late):
        await silent
    assert await answered == 1


async def test_an_answer_that_waits_to_be_read_while_the_process_stands_still_is_not_late() -> None:
    """The bytes are in the socket before the deadline, and the loop looks at its timers before it looks there."""
    deadlines = Deadlines()
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[bytes] = loop.create_future()

    class Reader(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            if not asked.done():
                asked.set_result(data)

    server = await loop.create_server(_Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_connection(Reader, "127.0.0.1", port)
    transport.write(b"x")
    await asyncio.sleep(0)
    deadlines.add(asked, loop.time())
    time.sleep(0.05)  # noqa: ASYNC251  the process stands still
    assert await asked == b"x"
    transport.close()
    server.close()


async def test_a_process_that_stalls_all_the_time_waits_for_no_answer_for_ever() -> None:
    deadlines = Deadlines()
    loop = asyncio.get_running_loop()
    silent = loop.create_future()
    deadlines.add(silent, loop.time() + 0.01)
    for _ in range(10):
        time.sleep(0.05)  # noqa: ASYNC251  each turn of the loop takes that long
        await asyncio.sleep(0)
    assert isinstance(silent.exception(), Late)


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)
