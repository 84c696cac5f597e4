"""Requests for vectors that wait for one another."""

import asyncio
import random
from typing import Any

import pytest
from tests.support.cache_world import settled, until
from tests.support.fake_upstream import vector_of
from tests.support.vectors_world import VectorsWorld

from gatewayz.core.errors import ProviderFailed, Unavailable


@pytest.fixture
def world() -> VectorsWorld:
    world = VectorsWorld(random.Random(7))
    world.provider.gate = asyncio.Event()
    return world


async def asking(world: VectorsWorld, *texts: str) -> "asyncio.Task[dict[str, Any]]":
    """A request that waits by now."""
    task = asyncio.create_task(world.ask(list(texts)))
    await settled()
    return task


def opened(world: VectorsWorld) -> None:
    assert world.provider.gate is not None
    world.provider.gate.set()


async def test_what_a_provider_says_to_one_all_who_wait_are_told(world: VectorsWorld) -> None:
    world.provider.failing = True
    waiting = [await asking(world, "a") for _ in range(3)]
    opened(world)
    for each in waiting:
        with pytest.raises(ProviderFailed, match="broken"):
            await each
    assert world.provider.asked == [["a"]]


async def test_who_waits_too_long_for_another_asks_by_itself() -> None:
    world = VectorsWorld(random.Random(7), wait=0.01)
    slow = world.provider.gate = asyncio.Event()
    first = await asking(world, "a")
    world.provider.gate = None
    answer = await world.ask(["a", "b"])
    assert [entry["embedding"] for entry in answer["data"]] == [vector_of("a"), vector_of("b")]
    assert world.provider.asked == [["a"], ["b"], ["a"]]
    assert world.counts.alone["waited"] == 1
    slow.set()
    assert (await first)["data"][0]["embedding"] == vector_of("a")
    assert len(world.provider.asked) == 3


async def test_a_worker_that_ends_lets_what_was_asked_for_come_though_its_caller_has_left(world: VectorsWorld) -> None:
    left = await asking(world, "a")
    await until(world.provider.is_asked)
    left.cancel()
    await asyncio.wait({left})
    closing = asyncio.create_task(world.replies.close(within=60))
    await settled()
    assert not closing.done()
    opened(world)
    await closing
    assert (await world.ask(["a"]))["usage"]["prompt_tokens"] == 0
    assert world.provider.asked == [["a"]]


async def test_a_worker_that_ends_waits_no_longer_than_it_may(world: VectorsWorld) -> None:
    waiting = await asking(world, "a")
    await world.replies.close(within=0)
    with pytest.raises(Unavailable):
        await waiting
