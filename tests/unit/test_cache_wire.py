"""A wire to a server that does as the test says."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.cache_world import eventually
from tests.support.patience import PATIENCE
from tests.support.scripted_redis import ScriptedRedis, scripted_redis, usual

from gatewayz.cache.wire.endpoint import Endpoint
from gatewayz.cache.wire.errors import Late, LinkLost, NotConnected, TooMuch
from gatewayz.cache.wire.exchange import Command
from gatewayz.cache.wire.wire import Wire


@pytest.fixture
async def server() -> AsyncIterator[ScriptedRedis]:
    async with scripted_redis() as server:
        yield server


@pytest.fixture
async def make(server: ScriptedRedis) -> AsyncIterator[Callable[..., Wire]]:
    async with AsyncExitStack() as stack:

        def make(endpoint: Endpoint | None = None, **options: Any) -> Wire:  # noqa: ANN401  those of Wire
            wanted = endpoint or Endpoint(path=str(server.socket), connect_within=1, answer_within=1)

            async def dial() -> Endpoint:
                return wanted

            wire = Wire(dial, name="test", scripts={}, rng=random.Random(1), **options)
            stack.push_async_callback(wire.close)
            return wire

        yield make


def ask(wire: Wire, *commands: Command, within: float = 5) -> asyncio.Future[list[Any]]:
    return wire.ask(commands or [("PING",)], within=within, then=lambda replies, _order: replies)


async def connected(wire: Wire) -> None:
    assert await ask(wire) == [b"PONG"]


async def received(server: ScriptedRedis, word: bytes) -> None:
    await eventually(lambda: any(command[0] == word for command in server.commands))


async def test_nothing_is_opened_before_the_first_command(server: ScriptedRedis, make: Callable[..., Wire]) -> None:
    wire = make()
    await asyncio.sleep(0)
    assert server.connections == 0
    await connected(wire)
    assert server.connections == 1


async def test_it_says_who_it_is_before_it_asks(server: ScriptedRedis, make: Callable[..., Wire]) -> None:
    endpoint = Endpoint(path=str(server.socket), credentials=("user", "secret"), db=7)
    await connected(make(endpoint, on_push=lambda _push: None))
    assert [b" ".join(command) for command in server.commands] == [
        b"HELLO 3 AUTH user secret SETNAME test",
        b"SELECT 7",
        b"CLIENT TRACKING ON NOLOOP",
        b"PING",
    ]


async def test_a_password_alone_is_that_of_the_default_user(server: ScriptedRedis, make: Callable[..., Wire]) -> None:
    await connected(make(Endpoint(path=str(server.socket), credentials=("secret",))))
    assert server.commands[0] == b"HELLO 3 AUTH default secret SETNAME test".split()


async def test_a_refused_greeting_is_told_with_its_reason(server: ScriptedRedis, make: Callable[..., Wire]) -> None:
    server.answer = lambda _command: b"-WRONGPASS no\r\n"
    with pytest.raises(NotConnected, match="WRONGPASS no"):
        await ask(make())


async def test_a_server_that_may_not_track_is_still_asked(server: ScriptedRedis, make: Callable[..., Wire]) -> None:
    server.answer = lambda command: b"-NOPERM\r\n" if b"TRACKING" in command else usual(command)
    wire = make(on_push=lambda _push: None)
    assert await ask(wire, ("PING",)) == [b"PONG"]
    assert not wire.is_tracking


async def test_pushes_come_in_their_place_and_are_counted(server: ScriptedRedis, make: Callable[..., Wire]) -> None:
    pushes: list[Any] = []
    wire = make(on_push=pushes.append)
    orders = []
    for _ in range(3):
        orders.append(await wire.ask([("PING",)], within=5, then=lambda _replies, order: order))
        server.push(b">2\r\n$10\r\ninvalidate\r\n_\r\n")
    assert orders == [0, 1, 2]
    assert await ask(wire, ("PING",)) == [b"PONG"]
    assert pushes == [[b"invalidate", None]] * 3
    assert wire.is_tracking


async def test_who_waits_longer_than_the_time_given_is_told_and_the_link_stays(
    server: ScriptedRedis, make: Callable[..., Wire]
) -> None:
    wire = make()
    await connected(wire)
    with pytest.raises(Late):
        await ask(wire, ("GET", "a"), within=0.01)
    server.push(b":1\r\n")
    await connected(wire)
    assert server.connections == 1


async def test_an_attempt_to_connect_counts_into_the_time_given(
    server: ScriptedRedis, make: Callable[..., Wire]
) -> None:
    server.answer = lambda _command: None
    with pytest.raises(Late):
        await ask(make(), within=0.02)


async def test_a_broken_link_fails_what_is_under_way_and_comes_back_at_once(
    server: ScriptedRedis, make: Callable[..., Wire]
) -> None:
    gaps: list[int] = []
    wire: Wire = make(on_push=lambda _push: None, on_gap=lambda: gaps.append(wire.epoch))
    await connected(wire)
    held = [ask(wire, ("GET", "a")) for _ in range(3)]
    await received(server, b"GET")
    server.break_links()
    for each in held:
        with pytest.raises(LinkLost):
            await each
    assert (wire.epoch, gaps) == (1, [1])
    await connected(wire)
    assert (wire.epoch, gaps, wire.order.now) == (1, [1, 1], 2)


async def test_a_link_that_breaks_amid_a_reply_gives_nobody_half_of_it(
    server: ScriptedRedis, make: Callable[..., Wire]
) -> None:
    wire = make()
    await connected(wire)
    held = ask(wire, ("GET", "a"))
    await received(server, b"GET")
    server.push(b"$10\r\n12345")
    server.break_links()
    with pytest.raises(LinkLost):
        await held
    await connected(wire)


async def test_a_callback_that_raises_costs_the_link_and_hangs_nobody(make: Callable[..., Wire]) -> None:
    wire = make()
    await connected(wire)
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    try:
        with pytest.raises(LinkLost):
            await wire.ask([("PING",)], within=5, then=lambda _replies, _order: 1 // 0)
        await connected(wire)
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
    assert len(reported) == 1


async def test_a_server_that_is_not_there_fails_at_once_and_is_found_when_it_comes(
    server: ScriptedRedis, make: Callable[..., Wire]
) -> None:
    wire = make()
    await server.stop()
    with pytest.raises(NotConnected):
        await ask(wire)
    with pytest.raises(NotConnected, match="last attempt"):
        await ask(wire)
    await server.start()
    await eventually(lambda: wire.is_connected)
    await connected(wire)


async def test_a_command_cuts_the_pause_between_attempts_short(
    server: ScriptedRedis, make: Callable[..., Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayz.cache.wire.wire.LONGEST_PAUSE", 3600.0)
    monkeypatch.setattr("gatewayz.cache.wire.wire.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("gatewayz.cache.wire.wire._pause", lambda _failures: 3600.0)
    wire = make()
    await server.stop()
    with pytest.raises(NotConnected):
        await ask(wire)
    await server.start()
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await ask(wire)
            except NotConnected:
                await asyncio.sleep(0)
            else:
                break


async def test_what_is_too_much_is_refused_and_what_was_sent_is_answered(
    server: ScriptedRedis, make: Callable[..., Wire]
) -> None:
    wire = make(most_commands=3)
    await connected(wire)
    held = [ask(wire, ("GET", "a")) for _ in range(3)]
    with pytest.raises(TooMuch, match="3 commands"):
        ask(wire)
    await received(server, b"GET")
    server.push(b":1\r\n:2\r\n:3\r\n")
    assert [await each for each in held] == [[1], [2], [3]]
    await connected(wire)


async def test_bytes_are_bounded_too_but_one_exchange_always_fits(
    server: ScriptedRedis, make: Callable[..., Wire]
) -> None:
    wire = make(most_bytes=100)
    await connected(wire)
    held = ask(wire, ("SET", "a", "x" * 1000))
    with pytest.raises(TooMuch):
        ask(wire)
    held.cancel()
    with pytest.raises(TooMuch):
        ask(wire)
    await received(server, b"SET")
    server.push(b"+OK\r\n")
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await connected(wire)
            except TooMuch:
                await asyncio.sleep(0)
            else:
                break


async def test_what_waits_for_a_connection_is_bounded(server: ScriptedRedis, make: Callable[..., Wire]) -> None:
    server.answer = lambda _command: None
    wire = make(most_commands=2)
    waiting = [ask(wire, within=0.05) for _ in range(2)]
    with pytest.raises(TooMuch):
        ask(wire)
    for each in waiting:
        with pytest.raises(Late):
            await each


async def test_closing_fails_what_is_under_way_and_what_waits(server: ScriptedRedis, make: Callable[..., Wire]) -> None:
    wire = make()
    await connected(wire)
    held = ask(wire, ("GET", "a"))
    await wire.close()
    with pytest.raises(LinkLost):
        await held
    server.answer = lambda _command: None
    parked = ask(wire)
    await wire.close()
    with pytest.raises(NotConnected, match="closed"):
        await parked


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_cancelled_at_any_moment_harms_nobody(
    server: ScriptedRedis, make: Callable[..., Wire], turns: int
) -> None:
    wire = make()

    async def numbered(n: int) -> list[Any]:
        return await ask(wire, ("ECHO", n))

    server.answer = lambda command: b":" + command[1] + b"\r\n" if command[0] == b"ECHO" else usual(command)
    callers = [asyncio.create_task(numbered(n)) for n in range(9)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for leaving in callers[::2]:
        leaving.cancel()
    assert [await each for each in callers[1::2]] == [[n] for n in range(1, 9, 2)]
    assert await numbered(99) == [99]
    assert server.connections == 1
