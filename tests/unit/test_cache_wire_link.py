"""One link over a transport that only remembers what is written: the test says what arrives, and when."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hiredis import ReplyError
from tests.support.cache_world import eventually
from tests.support.patience import PATIENCE

from gatewayz.cache.wire.deadlines import Deadlines
from gatewayz.cache.wire.errors import Late, LinkLost
from gatewayz.cache.wire.exchange import Command, Exchange, Order, Packed, pack
from gatewayz.cache.wire.link import FED_AT_ONCE, Link


class Paper(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_aborted = False

    def write(self, data: Any) -> None:  # noqa: ANN401  as its base has it
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


class Desk:
    """A link, and what came of it: `seen` has replies and pushes in the order in which they were delivered."""

    def __init__(self, scripts: dict[str, str] | None = None) -> None:
        self.seen: list[Any] = []
        self.orders: list[int] = []
        self.paper = Paper()
        self.link = Link(scripts or {}, Order(), self.seen.append, lambda _link: self.seen.append("lost"))
        self.link.connection_made(self.paper)

    def ask(self, *commands: Command | Packed) -> asyncio.Future[list[Any]]:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

        def then(replies: list[Any], order: int) -> list[Any]:
            self.seen.append(replies)
            self.orders.append(order)
            return replies

        self.link.send(Exchange(commands, then, future))
        return future


GET_A: Command = ("GET", "a")
GET_B: Command = ("GET", "b")
PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"


@pytest.mark.parametrize("at", range(len(b"$1\r\n1\r\n" + PUSH + b"-ERR no\r\n*2\r\n:1\r\n_\r\n") + 1))
async def test_replies_and_pushes_come_in_their_order_wherever_the_bytes_are_cut(at: int) -> None:
    desk = Desk()
    one, two, three = desk.ask(GET_A), desk.ask(GET_B), desk.ask(("MGET", "a", "b"))
    stream = b"$1\r\n1\r\n" + PUSH + b"-ERR no\r\n*2\r\n:1\r\n_\r\n"
    desk.link.data_received(stream[:at])
    desk.link.data_received(stream[at:])
    (refusal,) = await two
    assert await one == [b"1"]
    assert isinstance(refusal, ReplyError)
    assert await three == [[1, None]]
    assert desk.seen == [[b"1"], [b"invalidate", [b"a"]], [refusal], [[1, None]]]


async def test_the_order_of_replies_is_that_of_the_first() -> None:
    desk = Desk()
    for _ in range(2):
        desk.ask(GET_A, GET_B)
    desk.link.data_received(b":1\r\n" + PUSH + b":2\r\n" + b":3\r\n" + b":4\r\n" + PUSH)
    assert desk.orders == [0, 1]


async def test_byte_by_byte_is_as_good_as_at_once() -> None:
    desk = Desk()
    asked = [desk.ask(GET_A) for _ in range(20)]
    for byte in b"".join(b"$2\r\n%02d\r\n" % n + PUSH for n in range(20)):
        desk.link.data_received(bytes([byte]))
    assert [await each for each in asked] == [[b"%02d" % n] for n in range(20)]


async def test_what_is_asked_in_one_turn_of_the_loop_goes_out_in_one_write() -> None:
    desk = Desk()
    for _ in range(3):
        desk.ask(GET_A, GET_B)
    assert desk.paper.writes == []
    await asyncio.sleep(0)
    assert len(desk.paper.writes) == 1
    assert desk.paper.writes[0].count(b"GET") == 6
    desk.ask(GET_A)
    await asyncio.sleep(0)
    assert len(desk.paper.writes) == 2


async def test_a_command_joins_the_last_exchange_until_that_has_gone_out() -> None:
    desk = Desk()
    former, asked = desk.ask(GET_A), desk.ask(GET_A)
    before, exchange = desk.link._under_way
    assert not before.is_open
    assert exchange.is_open
    exchange.commands.append(pack(GET_B))
    await asyncio.sleep(0)
    assert desk.paper.writes == [b"".join(map(pack, [GET_A, GET_A, GET_B]))]
    assert not exchange.is_open
    assert desk.link.commands == 3
    desk.link.data_received(b":1\r\n:2\r\n" + PUSH + b":3\r\n")
    assert await former == [1]
    assert await asked == [2, 3]
    assert desk.orders == [0, 0]
    assert (desk.link.commands, desk.link.bytes) == (0, 0)


async def test_much_that_arrives_at_once_is_taken_apart_as_if_it_came_in_pieces() -> None:
    desk = Desk()
    asked = [desk.ask(GET_A) for _ in range(4)]
    value = b"v" * (FED_AT_ONCE - 10)
    desk.link.data_received((b"$%d\r\n%b\r\n" % (len(value), value) + PUSH) * 4)
    assert [await each for each in asked] == [[value]] * 4
    assert desk.seen == [[value], [b"invalidate", [b"a"]]] * 4


@pytest.mark.parametrize("moment", ["before it is written", "before its reply", "amid its reply"])
@pytest.mark.parametrize("leaving", range(3))
async def test_who_is_cancelled_leaves_no_reply_to_the_next(moment: str, leaving: int) -> None:
    desk = Desk()
    asked = [desk.ask(GET_A, GET_B) for _ in range(3)]
    stream = b":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n"
    read = 0
    if moment != "before it is written":
        await asyncio.sleep(0)
    if moment == "amid its reply":
        read = 8 * leaving + 5
        desk.link.data_received(stream[:read])
    asked[leaving].cancel()
    await asyncio.sleep(0)
    desk.link.data_received(stream[read:])
    for n, each in enumerate(asked):
        if n != leaving:
            assert await each == [2 * n + 1, 2 * n + 2]
    assert (desk.link.commands, desk.link.bytes) == (0, 0)
    assert not desk.paper.is_aborted


async def test_a_late_reply_is_thrown_away() -> None:
    desk = Desk()
    deadlines = Deadlines()
    late = desk.ask(GET_A)
    deadlines.add(late, asyncio.get_running_loop().time())
    with pytest.raises(Late):
        await late
    prompt = desk.ask(GET_B)
    desk.link.data_received(b":1\r\n:2\r\n")
    assert await prompt == [2]
    assert desk.seen == [[2]]


async def test_deadlines_that_are_met_leave_nothing_behind() -> None:
    deadlines = Deadlines()
    loop = asyncio.get_running_loop()
    met = loop.create_future()
    met.set_result(1)
    last = loop.create_future()
    deadlines.add(met, loop.time())
    deadlines.add(last, loop.time() + 0.02)
    with pytest.raises(Late):
        await last
    assert deadlines._due == {}
    assert met.result() == 1


async def test_a_broken_link_fails_all_that_is_under_way_after_it_was_told() -> None:
    desk = Desk()
    answered, half, unheard, gone = (desk.ask(GET_A, GET_B) for _ in range(4))
    gone.cancel()
    desk.link.data_received(b":1\r\n:2\r\n:3\r\n")
    desk.link.connection_lost(ConnectionResetError("reset"))
    assert await answered == [1, 2]
    assert desk.seen == [[1, 2], "lost"]
    for each in (half, unheard):
        with pytest.raises(LinkLost, match="reset"):
            await each


@pytest.mark.parametrize("rubbish", [b"?what\r\n", b":1\r\n:2\r\n"], ids=["no RESP", "a reply to nothing"])
async def test_a_stream_that_cannot_be_trusted_ends_the_link(rubbish: bytes) -> None:
    desk = Desk()
    asked = desk.ask(GET_A)
    desk.link.data_received(rubbish)
    assert desk.paper.is_aborted
    desk.link.connection_lost(None)
    await asyncio.wait([asked])


UNKNOWN = b"-NOSCRIPT No matching script.\r\n"


async def test_from_an_unknown_script_on_everything_is_said_again_with_its_text() -> None:
    desk = Desk({"sha1": "return 1", "sha2": "return 2"})
    asked = desk.ask(GET_A, ("EVALSHA", "sha1", 1, "k"), ("EVALSHA", "sha2", 1, "k"))
    await asyncio.sleep(0)
    desk.link.data_received(b":0\r\n" + UNKNOWN + b":2\r\n")
    await asyncio.sleep(0)
    again = desk.paper.writes[1]
    assert again.count(b"EVAL\r\n") == 2
    assert again.index(b"return 1") < again.index(b"return 2")
    assert not asked.done()
    desk.link.data_received(b":1\r\n:22\r\n")
    assert await asked == [0, 1, 22]
    assert desk.link.commands == 0


async def test_what_was_packed_already_is_said_again_with_its_text_too() -> None:
    desk = Desk({"sha1": "return 1"})
    asked = desk.ask(pack(("EVALSHA", "sha1", 1, "k", b"\xff")), pack(GET_A))
    await asyncio.sleep(0)
    desk.link.data_received(UNKNOWN + b":2\r\n")
    await asyncio.sleep(0)
    assert desk.paper.writes[1] == pack(("EVAL", "return 1", 1, "k", b"\xff")) + pack(GET_A)
    desk.link.data_received(b":1\r\n:22\r\n")
    assert await asked == [1, 22]


async def test_an_unknown_script_is_not_said_again_for_who_has_left() -> None:
    desk = Desk({"sha1": "return 1"})
    asked = desk.ask(("EVALSHA", "sha1", 1, "k"))
    await asyncio.sleep(0)
    asked.cancel()
    desk.link.data_received(UNKNOWN)
    await asyncio.sleep(0)
    assert len(desk.paper.writes) == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Desk]:
    monkeypatch.setattr("gatewayz.cache.wire.link.PING_AFTER", 0.02)
    monkeypatch.setattr("gatewayz.cache.wire.link.DEAD_AFTER", 0.04)

    def make() -> Desk:
        desk = Desk()
        desk.link.watch()
        return desk

    return make


async def test_a_silent_link_is_asked_and_then_ended(impatient: Callable[[], Desk]) -> None:
    desk = impatient()
    await eventually(lambda: desk.paper.is_aborted)
    assert desk.paper.writes == [b"*1\r\n$4\r\nPING\r\n"]
    desk.link.connection_lost(None)


async def test_a_link_that_answers_is_kept(impatient: Callable[[], Desk]) -> None:
    desk = impatient()
    answered = 0
    async with asyncio.timeout(PATIENCE):
        while answered < 4:
            await asyncio.sleep(0)
            if len(desk.paper.writes) > answered:
                desk.link.data_received(b"+PONG\r\n")
                answered += 1
    assert not desk.paper.is_aborted
    desk.link.connection_lost(None)
