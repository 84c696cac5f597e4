"""The short way from a request to its answer, with an application that has what it is told to have."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.support.listening import listening
from tests.support.patience import PATIENCE

from gatewayz.api.answer import send_json, whole_answer
from gatewayz.api.exchange import read_body
from gatewayz.api.prompt_protocol import PromptProtocol

SHORT = whole_answer(200, [(b"content-length", b"5")], b"short")
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody"


class Door:
    """`at_once` does what a test says; the whole way answers with the body that it has read."""

    def __init__(self) -> None:
        self.does: Callable[[Callable[[bytes | None], None]], bool] = lambda _done: False

    def may_be_at_hand(self, _scope: Any) -> bool:  # noqa: ANN401  ASGI's own types
        return True

    def at_once(self, _scope: Any, _body: bytes, done: Callable[[bytes | None], None]) -> bool:  # noqa: ANN401
        return self.does(done)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI's own types
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send_json(send, await read_body(scope, receive, 1000))


class Impatient(PromptProtocol):
    headers_within = 0.2


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def port(door: Door) -> AsyncIterator[int]:
    async with listening(door, Impatient, keep_alive=0) as port:
        yield port


async def answer_to(port: int, request: bytes = POST) -> bytes:
    """All that comes until the connection is closed, as it is when nobody asks anything more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def test_what_is_at_hand_goes_out_and_an_idle_connection_ends(door: Door, port: int) -> None:
    def has_it(done: Callable[[bytes | None], None]) -> bool:
        done(SHORT)
        return True

    door.does = has_it
    assert await answer_to(port) == b"short"


async def test_what_has_no_answer_goes_the_whole_way(port: int) -> None:
    assert await answer_to(port) == b"body"


async def test_what_turns_out_to_have_none_goes_the_whole_way_then(door: Door, port: int) -> None:
    def later(done: Callable[[bytes | None], None]) -> bool:
        asyncio.get_running_loop().call_later(0.01, done, None)
        return True

    door.does = later
    assert await answer_to(port) == b"body"


async def test_what_fails_on_the_short_way_is_answered_by_the_whole_one(door: Door, port: int) -> None:
    def fails(_done: Callable[[bytes | None], None]) -> bool:
        raise RuntimeError

    door.does = fails
    assert await answer_to(port) == b"body"


async def test_what_fails_after_the_answer_is_not_answered_twice(door: Door, port: int) -> None:
    def fails(done: Callable[[bytes | None], None]) -> bool:
        done(SHORT)
        raise RuntimeError

    door.does = fails
    assert await answer_to(port) == b"short"
