import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from benchmarks.load.driver import Address, Expected, WrongAnswer, closed_loop, get, one_at_a_time

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@asynccontextmanager
async def server(answer: Callable[[int], bytes]) -> AsyncIterator[Address]:
    """Answers the n-th request over all connections with `answer(n)`; an empty one closes the connection."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                sent = answer(asked)
                asked += 1
                if not sent:
                    break
                writer.write(sent)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield running.sockets[0].getsockname()


async def load(address: Address, expected: Expected, *, seconds: float = 0.05) -> int:
    requests = [get(address, "/a"), get(address, "/b")]
    done = await asyncio.to_thread(closed_loop, address, requests, expected, connections=4, seconds=seconds)
    return done.requests


async def test_every_request_that_was_sent_is_answered_and_counted() -> None:
    asked = []

    def answer(number: int) -> bytes:
        asked.append(number)
        return OK

    async with server(answer) as address:
        counted = await load(address, Expected(200, 5))
    assert counted == len(asked) > 4


async def test_an_answer_larger_than_the_buffer_is_read_to_its_end() -> None:
    body = b"x" * 3_000_000
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n"
    async with server(lambda _: head + body) as address:
        assert await load(address, Expected(200, 3_000_000)) >= 4


async def test_an_answer_without_a_body_needs_no_length() -> None:
    async with server(lambda _: b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n") as address:
        assert await load(address, Expected(304, 0)) > 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "503"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhell", "expected 5 bytes, got 4"),
        (OK + b"!", "more bytes"),
        (b"", "closed"),
    ],
)
async def test_one_wrong_answer_spoils_the_measurement(wrong: bytes, said: str) -> None:
    async with server(lambda number: wrong if number == 20 else OK) as address:
        with pytest.raises(WrongAnswer, match=said):
            await load(address, Expected(200, 5), seconds=5)


async def test_latencies_come_ascending_one_for_each_request() -> None:
    async with server(lambda _: OK) as address:
        took = await asyncio.to_thread(one_at_a_time, address, [get(address, "/")], Expected(200, 5), count=20)
    assert len(took) == 20
    assert took == sorted(took)
