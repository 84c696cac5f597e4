"""Figures of a real `gatewayz serve` of two workers: the same whoever is asked, over HTTP and by the commands."""

import asyncio
import itertools
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
import pytest
from tests.support.fake_upstream import FakeUpstream
from tests.support.served import Served, served
from tests.support.servers import short_directory

pytestmark = [pytest.mark.alone, pytest.mark.slow]

ADMIN = "the-admin-key-of-this-test"
WORKERS = 2
MODEL = "acme/rocket-1"
STATS = "/api/system/cache/stats"
STATUS = "/admin/cache-status"


class Fleet:
    def __init__(self, gateway: Served) -> None:
        self.gateway = gateway
        self._numbers = itertools.count()

    async def ask(self, method: str, path: str, body: object = None, key: str = ADMIN) -> Any:  # noqa: ANN401  JSON
        """Over a connection of its own: by one of the workers, whichever it is."""
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.request(method, self.gateway.url + path, json=body) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def ask_the_living(self, path: str) -> Any:  # noqa: ANN401  JSON
        """Until the connection goes to one that is not frozen."""
        while True:
            try:
                async with asyncio.timeout(5):
                    return await self.ask("GET", path)
            except TimeoutError:
                continue

    async def customer(self) -> str:
        name = f"customer-{next(self._numbers)}"
        account = await self.ask("POST", "/admin/accounts", {"username": name})
        form = {"name": name, "account_id": account["id"], "pays_unknown_prices": True}
        key: str = (await self.ask("POST", "/admin/keys", form))["key"]
        return key

    async def chat(self, key: str, question: str) -> None:
        body = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
        await self.ask("POST", "/v1/chat/completions", body, key)

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.gateway.process.pid).children()
        return [each for each in children if "spawn_main" in " ".join(each.cmdline())]

    async def command(self, *words: str) -> str:
        return await asyncio.to_thread(self.gateway.command, *words)


@pytest.fixture(scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    async with FakeUpstream().running() as upstream:
        settings = {
            "workers": str(WORKERS),
            "admin_key": ADMIN,
            "log__requests": "false",
            "catalog__sync_on_start": "false",
            "providers__acme__base_url": upstream.base_url("answers"),
            "providers__acme__models": MODEL,
        }
        with short_directory() as directory, served(directory / "data", **settings) as gateway:
            await asyncio.to_thread(lambda: gateway.url)
            yield Fleet(gateway)


async def test_reads_of_both_workers_are_counted_whoever_is_asked(fleet: Fleet) -> None:
    key = await fleet.customer()
    before = (await fleet.ask("GET", STATS))["entities"]["chat"]
    for _ in range(10):
        await fleet.chat(key, "the same to both")
    told = [await fleet.ask("GET", STATS) for _ in range(6)]
    assert len({each["worker"] for each in told}) == WORKERS
    assert [each["workers"] for each in told] == [{"answering": WORKERS, "silent": 0, "of": WORKERS}] * 6
    assert len({json.dumps(each["entities"]["chat"]["memory"]) for each in told}) == 1
    after = told[-1]["entities"]["chat"]
    assert after["hits"] - before["hits"] == 9
    assert after["misses"] - before["misses"] >= 1
    assert after["saved_is"] == "measured"
    assert told[-1]["total"]["redis"]["entries"] > 0


async def test_a_worker_that_does_not_answer_is_said(fleet: Fleet) -> None:
    key = await fleet.customer()
    await fleet.chat(key, "before it freezes")
    before = await fleet.ask("GET", STATS)
    frozen = fleet.workers()[0]
    frozen.send_signal(signal.SIGSTOP)
    try:
        stats, status = await fleet.ask_the_living(STATS), await fleet.ask_the_living(STATUS)
        printed = await fleet.command("cache", "stats", "--json")
    finally:
        frozen.send_signal(signal.SIGCONT)
    assert stats["workers"] == {"answering": 1, "silent": 1, "of": 2}
    assert stats["total"]["reads"] >= before["total"]["reads"] > 0, "what it had written down counts"
    assert (status["status"], status["workers"]["silent"]) == ("degraded", 1)
    assert "1 of 2 workers do not answer" in status["remarks"][0]
    assert json.loads(printed)["workers"] == {"answering": 1, "silent": 1, "of": 2}


async def test_the_command_tells_what_the_workers_tell(fleet: Fleet) -> None:
    over_http = await fleet.ask("GET", STATS)
    printed = json.loads(await fleet.command("cache", "stats", "--json"))
    assert printed.keys() == over_http.keys() - {"worker"}
    assert printed["entities"]["chat"]["hits"] == over_http["entities"]["chat"]["hits"]
    words = await fleet.command("cache", "stats")
    assert "models:catalog:full" in words
    assert "hit rate" in words
    one = json.loads(await fleet.command("cache", "stats", "models:stats", "--json"))
    assert one["fresh_seconds"] == over_http["entities"]["models:stats"]["fresh_seconds"]


async def test_a_value_is_shown_with_its_tier_age_and_version(fleet: Fleet) -> None:
    await fleet.command("cache", "warm", "models:stats")
    shown = json.loads(await fleet.command("cache", "get", "models:stats", "--json"))
    assert (shown["entity"], shown["tier"], shown["state"]) == ("models:stats", "l2", "fresh")
    assert shown["age"] >= 0
    assert {"version", "tags", "why"} <= shown.keys()
    assert shown["value"]["total_models"] > 100
    assert json.loads(await fleet.command("cache", "get", "models:stats")) == shown["value"]


async def test_the_glance_is_of_every_worker(fleet: Fleet) -> None:
    told = await fleet.ask("GET", STATUS)
    assert (told["status"], told["remarks"]) == ("ok", [])
    assert {each["worker"] for each in told["by_worker"]} == {each.pid for each in fleet.workers()}
    assert told["now"]["reads"] == sum(each["now"]["reads"] for each in told["by_worker"])
