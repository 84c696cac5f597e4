"""The worker that makes an answer is killed while other workers follow it: one more call, and each has the whole."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from gatewayz.core.money import nano_usd
from gatewayz.embedded.servers import Servers
from gatewayz.settings import Settings
from tests.chaos.run import ROOT
from tests.support.cached_chats import Caller, Streaming
from tests.support.gateway import RunningGateway, install, listed, listing, parts_of, settings_for
from tests.support.patience import PATIENCE
from tests.support.servers import migrated_database
from tests.support.telling_upstream import TellingUpstream

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.chaos]

LISTS = (listing("acme", listed("rocket-1", "0.001")),)


class Killable(Caller):
    """A caller, and the process of the worker that it asks."""

    def __init__(self, gateway: RunningGateway, secret: str, process: Process) -> None:
        super().__init__(gateway, secret)
        self.process = process

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


@asynccontextmanager
async def workers(servers: Servers, data_dir: Path, upstream: TellingUpstream) -> AsyncIterator[list[Killable]]:
    async with AsyncExitStack() as stack:
        settings = settings_for(
            servers,
            await stack.enter_async_context(migrated_database(servers)),
            data_dir,
            providers={"acme": {"base_url": upstream.url, "api_key": "sk-acme"}},
            responses={"enabled": True},
        )
        await install(settings, LISTS)
        async with parts_of(settings) as parts:
            made = await parts.keys.create(name="n", account="a", credits=nano_usd(Decimal(100_000)))
        callers = []
        for _ in range(4):
            process = await started(settings, upstream)
            stack.push_async_callback(ended, process)
            assert process.stdout is not None
            port = int(await process.stdout.readline())
            callers.append(Killable(RunningGateway(f"http://127.0.0.1:{port}", "", settings), made.secret, process))
        for caller in callers:
            await caller.gateway.until_health(200, "ok")
        yield callers


async def started(settings: Settings, upstream: TellingUpstream) -> Process:
    url, redis_url = settings.storage.database_url, settings.redis_url()
    assert url is not None
    assert redis_url is not None
    environment = {
        **os.environ,
        "DATABASE_URL": url.get_secret_value(),
        "REDIS_URL": redis_url,
        "GATEWAYZ_DATA_DIR": str(settings.data_dir),
        "GATEWAYZ_CATALOG__SYNC_ON_START": "false",
        "GATEWAYZ_PROVIDERS__ACME__BASE_URL": upstream.url,
        "GATEWAYZ_PROVIDERS__ACME__API_KEY": "sk-acme",
        "GATEWAYZ_LOG__LEVEL": "error",
    }
    command = (sys.executable, "-m", "tests.chaos.gateway_worker")
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=ROOT, env=environment)


async def ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.fixture
async def upstream() -> AsyncIterator[TellingUpstream]:
    async with TellingUpstream().running() as running:
        yield running


async def test_the_worker_that_makes_an_answer_is_killed_and_another_makes_it_once_more(
    servers: Servers, tmp_path: Path, upstream: TellingUpstream
) -> None:
    async with workers(servers, tmp_path, upstream) as callers, asyncio.timeout(2 * PATIENCE):
        upstream.behaviour = "waits"
        upstream.words = "The same words each time"
        leader = Streaming(callers[0], "Hi")
        await leader.until_received(b"same")
        followers = [Streaming(caller, "Hi") for caller in callers[1:] * 3]
        whole = [asyncio.create_task(caller.ask("Hi")) for caller in callers[1:] * 3]
        for each in followers:
            await each.until_received(b"same")
        callers[0].kill()
        while len(upstream.asked) < 2:  # noqa: ASYNC110  it happens in other processes
            await asyncio.sleep(0.02)
        upstream.may_go.set()
        said = await asyncio.gather(*[each.task for each in followers], *whole)
        with pytest.raises(aiohttp.ClientError):
            await leader.task
    assert {each.text for each in said} == {"The same words each time"}
    assert all(each.form["choices"][0]["finish_reason"] == "stop" for each in said)
    assert len(upstream.asked) == 2


async def test_who_has_a_part_of_another_answer_is_told_so(
    servers: Servers, tmp_path: Path, upstream: TellingUpstream
) -> None:
    """The provider says something else the second time: nobody gets the one's beginning with the other's end."""
    async with workers(servers, tmp_path, upstream) as callers, asyncio.timeout(2 * PATIENCE):
        upstream.behaviour = "waits"
        leader = Streaming(callers[0], "Hi")
        await leader.until_received(b"Answer")
        await leader.until_received(b" 1")
        follower = Streaming(callers[1], "Hi")
        await follower.until_received(b" 1")
        callers[0].kill()
        while len(upstream.asked) < 2:  # noqa: ASYNC110  it happens in other processes
            await asyncio.sleep(0.02)
        upstream.may_go.set()
        with pytest.raises(aiohttp.ClientError):
            await follower.task
        with pytest.raises(aiohttp.ClientError):
            await leader.task
    assert b'"error"' in follower.received
    assert b"[DONE]" not in follower.received
    assert b" 2" not in follower.received
