"""Answers that are given with no task: the same as those given with one, and to nobody who would not be given those."""

import asyncio
import json
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec import Struct
from tests.support.cached_chats import request
from tests.support.gateway import RunningGateway, listed, listing, parts_of, running_gateway
from tests.support.patience import PATIENCE
from tests.support.telling_upstream import TellingUpstream

from gatewayz.accounts.scopes import ACCOUNT, INFERENCE
from gatewayz.api.at_once import MOST_BYTES
from gatewayz.core.ids import ApiKeyId
from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers

LISTS = (listing("acme", listed("rocket-1", "0.001"), listed("rocket-2", "0.001")),)
OF_THE_REQUEST = {"x-generation-id", "x-request-id", "age", "cache-status"}


class Answer(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def cache(self) -> str:
        return self.headers.get("x-cache", "")


class Connection:
    """Plain HTTP/1.1 over one connection, in the task that asks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(self, key: str, body: bytes, *headers: str) -> Answer:
        self.writer.write(written(key, body, *headers))
        return await self.read()

    async def read_head(self) -> tuple[int, dict[str, str]]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        return int(first.split()[1]), dict(line.split(": ", 1) for line in lines)

    async def read(self) -> Answer:
        status, headers = await self.read_head()
        return Answer(status, headers, await self._reader.readexactly(int(headers["content-length"])))

    async def is_closed(self) -> bool:
        return await self._reader.read() == b""


def written(key: str, body: bytes, *headers: str) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: gateway", f"authorization: Bearer {key}", *headers]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


@asynccontextmanager
async def connected(gateway: RunningGateway) -> AsyncIterator[Connection]:
    place = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        async with asyncio.timeout(PATIENCE):
            yield Connection(reader, writer)
    finally:
        writer.close()


class Tasks:
    """Counts what is made of tasks, by the names of their coroutines, in this process, which runs the gateway too."""

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:  # noqa: ANN401
        self.made[coro.__qualname__] += 1
        return asyncio.Task(coro, loop=loop, **options)

    @property
    def requests(self) -> int:
        return self.made["RequestResponseCycle.run_asgi"]


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    counting, loop = Tasks(), asyncio.get_running_loop()
    loop.set_task_factory(counting)
    yield counting
    loop.set_task_factory(None)


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[TellingUpstream]:
    async with TellingUpstream().running() as upstream:
        yield upstream


@pytest.fixture(scope="module")
async def gateway(
    servers: Servers, upstream: TellingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    providers = {"acme": {"base_url": upstream.url, "api_key": "sk-acme"}}
    place = tmp_path_factory.mktemp("at-once")
    async with running_gateway(servers, place, LISTS, providers=providers, responses={"enabled": True}) as gateway:
        yield gateway


class Key(Struct, frozen=True):
    id: ApiKeyId
    secret: str


async def a_key(gateway: RunningGateway, **limits: int) -> Key:
    async with parts_of(gateway.settings) as parts:
        made = await parts.keys.create(
            name="test",
            account=f"account-{secrets.token_hex(8)}",
            scopes=(INFERENCE, ACCOUNT),
            credits=nano_usd(Decimal(1000)),
            limits=limits,
        )
    return Key(made.record.id, made.secret)


def question(text: str = "", **fields: object) -> bytes:
    """One that nobody has asked."""
    return json.dumps(request(text or secrets.token_hex(8), **fields)).encode()


async def known(connection: Connection, key: Key, body: bytes) -> Answer:
    """What is answered out of memory with a task: from then on it can be answered at once."""
    assert (await connection.ask(key.secret, body)).status == 200
    answer = await connection.ask(key.secret, body)
    assert answer.cache == "HIT"
    return answer


def without_id(answer: Answer) -> bytes:
    """Its time aside, too."""
    return re.sub(rb'"id":"chatcmpl_[0-9a-f]{24}","created":[0-9]+', b"", answer.body)


@pytest.mark.parametrize("form", ["whole", "streamed"])
@pytest.mark.parametrize("limits", [{}, {"requests_per_minute": 1000, "tokens_per_minute": 100_000}])
async def test_an_answer_at_once_is_that_of_the_whole_way_and_needs_no_task(
    gateway: RunningGateway, tasks: Tasks, limits: dict[str, int], form: str
) -> None:
    key, text = await a_key(gateway, **limits), secrets.token_hex(8)
    body = question(text, stream=form == "streamed")
    async with connected(gateway) as connection:
        await connection.ask(key.secret, question(text))  # a stream's first answer would come in chunks
        whole_way = await known(connection, key, body)
        before = tasks.requests
        at_once = await connection.ask(key.secret, body)
        assert tasks.requests == before
    assert (at_once.status, at_once.cache) == (200, "HIT")
    assert list(at_once.headers) == list(whole_way.headers)
    changed = {name for name, value in whole_way.headers.items() if at_once.headers[name] != value}
    assert changed <= {*OF_THE_REQUEST, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"}
    assert {"x-generation-id", "x-request-id"} <= changed
    assert without_id(at_once) == without_id(whole_way)
    assert at_once.headers["x-generation-id"][4:].encode() in at_once.body


@pytest.mark.parametrize(
    "header",
    ["cache-control: no-cache", "idempotency-key: k-{}", "origin: https://example.org", "expect: 100-continue"],
)
async def test_who_says_more_goes_the_whole_way(gateway: RunningGateway, tasks: Tasks, header: str) -> None:
    key, body = await a_key(gateway), question()
    async with connected(gateway) as connection:
        await known(connection, key, body)
        before = tasks.requests
        connection.writer.write(written(key.secret, body, header.format(secrets.token_hex(4))))
        if header.startswith("expect"):
            assert (await connection.read_head())[0] == 100
        assert (await connection.read()).status == 200
        assert tasks.requests == before + 1


async def test_the_same_bytes_from_another_account_are_another_request(
    gateway: RunningGateway, upstream: TellingUpstream
) -> None:
    mine, theirs, body = await a_key(gateway), await a_key(gateway), question()
    async with connected(gateway) as connection:
        my_answer = await known(connection, mine, body)
        asked = len(upstream.asked)
        their_answer = await connection.ask(theirs.secret, body)
        assert (their_answer.status, their_answer.cache) == (200, "MISS")
        assert len(upstream.asked) == asked + 1
        assert without_id(their_answer) != without_id(my_answer)


async def test_a_key_that_is_revoked_or_changed_is_judged_anew(gateway: RunningGateway) -> None:
    bound, revoked, body = await a_key(gateway), await a_key(gateway), question()
    async with connected(gateway) as connection, parts_of(gateway.settings) as parts:
        for key in (bound, revoked):
            await known(connection, key, body)
        await parts.keys.change(bound.id, models=("acme/rocket-2",))
        await parts.keys.revoke(revoked.id)
        assert (await connection.ask(bound.secret, body)).status == 403
        assert (await connection.ask(revoked.secret, body)).status == 401


async def test_what_is_purged_is_not_at_hand(gateway: RunningGateway, upstream: TellingUpstream) -> None:
    key, body = await a_key(gateway), question()
    async with connected(gateway) as connection, parts_of(gateway.settings) as parts:
        await known(connection, key, body)
        asked = len(upstream.asked)
        await parts.cache.invalidate_tag(f"key:{key.id}")
        assert (await connection.ask(key.secret, body)).cache == "MISS"
        assert len(upstream.asked) == asked + 1


async def test_limits_hold_for_answers_at_once(gateway: RunningGateway) -> None:
    key, body = await a_key(gateway, requests_per_minute=5), question()
    async with connected(gateway) as connection:
        await known(connection, key, body)
        left = [await connection.ask(key.secret, body) for _ in range(3)]
        assert [each.headers["x-ratelimit-remaining-requests"] for each in left] == ["2", "1", "0"]
        refused = await connection.ask(key.secret, body)
        assert refused.status == 429
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert int(refused.headers["retry-after"]) > 0


async def test_requests_in_one_segment_are_answered_in_their_order(gateway: RunningGateway) -> None:
    for limits in ({}, {"requests_per_minute": 1000}):
        key, first, second, anew = await a_key(gateway, **limits), question(), question(), question()
        async with connected(gateway) as connection:
            expected = [await known(connection, key, first), await known(connection, key, second)]
            pieces = [written(key.secret, body) for body in (first, anew, second, first)]
            connection.writer.write(b"".join(pieces))
            answers = [await connection.read() for _ in pieces]
            assert [each.cache for each in answers] == ["HIT", "MISS", "HIT", "HIT"]
            found = [without_id(answers[at]) for at in (0, 2, 3)]
            assert found == [without_id(expected[at]) for at in (0, 1, 0)]


async def test_a_body_may_come_in_pieces(gateway: RunningGateway, tasks: Tasks) -> None:
    key, body = await a_key(gateway), question()
    async with connected(gateway) as connection:
        await known(connection, key, body)
        before, request = tasks.requests, written(key.secret, body)
        for piece in (request[:-40], request[-40:-1], request[-1:]):
            connection.writer.write(piece)
            await connection.writer.drain()
            await asyncio.sleep(0.01)
        assert (await connection.read()).cache == "HIT"
        assert tasks.requests == before


async def test_a_large_body_is_not_waited_for(gateway: RunningGateway, tasks: Tasks) -> None:
    key, body = await a_key(gateway), question("x" * (2 * MOST_BYTES))
    async with connected(gateway) as connection:
        await known(connection, key, body)
        before = tasks.requests
        assert (await connection.ask(key.secret, body)).cache == "HIT"
        assert tasks.requests == before + 1


async def test_who_wants_the_connection_closed_finds_it_closed(gateway: RunningGateway) -> None:
    key, body = await a_key(gateway), question()
    async with connected(gateway) as connection:
        await known(connection, key, body)
        assert (await connection.ask(key.secret, body, "connection: close")).cache == "HIT"
        assert await connection.is_closed()


async def test_every_answer_at_once_is_written_down(gateway: RunningGateway) -> None:
    key, body = await a_key(gateway), question()
    async with connected(gateway) as connection:
        await known(connection, key, body)
        last = [await connection.ask(key.secret, body) for _ in range(20)][-1]
    async with parts_of(gateway.settings) as parts, asyncio.timeout(PATIENCE):
        count = "SELECT count(*) FROM charges WHERE key_id = $1 AND cache_status = 'hit'"
        while await parts.database.fetch_value(count, key.id) < 21:  # noqa: ASYNC110  they are written behind
            await asyncio.sleep(0.02)
        row = await parts.database.fetch_row(
            "SELECT cost, charged, provider, model FROM charges WHERE request_id = $1", last.headers["x-generation-id"]
        )
        assert tuple(row or ()) == (0, 0, "acme", "acme/rocket-1")
        hits = "SELECT sum(cache_hits) FROM usage_by_day WHERE key_id = $1"
        assert await parts.database.fetch_value(hits, key.id) == 21
