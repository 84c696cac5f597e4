import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from gatewayz.cache.cache import Cache
from tests.chaos.leading import LED, PATIENT
from tests.chaos.run import ROOT
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.patience import PATIENCE
from tests.support.worker_cache import worker_cache

pytestmark = pytest.mark.alone

FOLLOWERS = 3
CALLERS = 100


class Source:
    def __init__(self) -> None:
        self.loads: list[str] = []

    async def load(self, key: str) -> int:
        self.loads.append(key)
        await asyncio.sleep(0)
        return 7


@pytest.fixture
def server() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@pytest.mark.slow
@pytest.mark.chaos
async def test_when_the_loading_worker_is_killed_one_other_loads_for_all(server: OwnRedis) -> None:
    source = Source()
    async with AsyncExitStack() as stack:
        followers = [
            await stack.enter_async_context(
                worker_cache([LED], source, redis_url=server.url, connect_timeout=5, budgets=PATIENT)
            )
            for _ in range(FOLLOWERS)
        ]
        for each in followers:
            await each.start()
            await each.get(LED, "other")
        source.loads.clear()
        command = (sys.executable, "-m", "tests.chaos.leader", server.url, "k")
        leader = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
        assert leader.stdout is not None
        assert await leader.stdout.readline() == b"loading\n"
        callers = [asyncio.create_task(each.get(LED, "k")) for each in followers for _ in range(CALLERS)]
        await _all_asked(followers)
        leader.kill()
        await leader.wait()
        async with asyncio.timeout(PATIENCE):
            assert await asyncio.gather(*callers) == [7] * len(callers)
    assert source.loads == ["k"], [each.stats() for each in followers]


async def _all_asked(caches: list[Cache]) -> None:
    """Until each has a reply from Redis, which says who leads."""
    for each in caches:
        await each.explain(LED, "k")
