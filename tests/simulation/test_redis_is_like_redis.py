"""The simulated Redis is believed as far as real ones say the same."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.simulation.differential import Comparison, Simulated, plain, real, steps
from tests.support.own_redis import own_redis
from tests.support.redis_programs import VERSIONS

STEPS = 250
SEEDS = 10


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_redis_gives_the_same_replies_and_the_same_pushes(version: str) -> None:
    with own_redis(version) as server:
        for seed in range(SEEDS):
            with real(Path(server.url.removeprefix("unix://"))) as there:
                sides = [Comparison(Simulated()), Comparison(there)]
                for side in sides:
                    side.begin()
                for step in steps(random.Random(seed), STEPS):
                    ours, theirs = (side.step(*step) for side in sides)
                    assert ours == theirs, f"seed {seed}"
                there.fill_up(is_full=False)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_key_whose_time_is_over_is_told_once_to_all_who_read_it(version: str) -> None:
    simulated = Simulated()
    with own_redis(version) as server, real(Path(server.url.removeprefix("unix://"))) as there:
        told = []
        for side in (simulated, there):
            Comparison(side).begin()
            side.ask(3, [b"SET", b"k", b"v", b"PX", b"300"])
            for connection in (0, 2):
                side.ask(connection, [b"GET", b"k"])
            async with asyncio.timeout(30):
                while side.ask(3, [b"GET", b"k"]) is not None:  # noqa: ASYNC110  nobody signals it
                    await asyncio.sleep(0)  # only time does it
            told.append([plain(side.told(connection)) for connection in range(4)])
        once = [[b"invalidate", [b"k"]]]
        assert told == [[once, [], once, []]] * 2
