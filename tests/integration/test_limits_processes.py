"""Limits over four processes of workers, judged by what they wrote down."""

import asyncio
import bisect
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.limits_worker import Kept, Let, Orders, recorded
from tests.support.own_redis import own_redis
from tests.support.patience import PATIENCE

from gatewayz.core.limit import Limit, Measure, Subject
from gatewayz.limits.scripts import SLOTS

pytestmark = [pytest.mark.alone, pytest.mark.slow]

PROCESSES = 4
WINDOW = 2
MICROSECONDS = 1_000_000
_LOOK_AGAIN = 0.2


class Fleet:
    def __init__(self, url: str, directory: Path) -> None:
        self._url = url
        self._directory = directory
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *limits: Limit, clients: int, lease: float = 15.0, runs_for: float = 0.0, tries: int = 0) -> None:
        for _ in range(PROCESSES):
            name = f"w{len(self.processes)}"
            log = str(self._directory / name)
            orders = Orders(self._url, log, name, limits, clients, lease, runs_for, tries)
            command = [sys.executable, "-m", "tests.support.limits_worker", msgspec.json.encode(orders).decode()]
            self.processes.append(subprocess.Popen(command))

    def lines(self, *names: int) -> list[Let | Kept]:
        paths = [self._directory / f"w{name}" for name in names or range(len(self.processes))]
        return recorded([path for path in paths if path.exists()])

    async def until(self, count: int, *names: int) -> None:
        """Until so many were let in, and have ended."""
        async with asyncio.timeout(PATIENCE):
            while self._over(*names) < count:  # noqa: ASYNC110  it happens in other processes
                await asyncio.sleep(_LOOK_AGAIN)

    def _over(self, *names: int) -> int:
        return sum(isinstance(line, Let) and line.until is not None for line in self.lines(*names))

    def ended(self) -> None:
        for process in self.processes:
            assert process.wait(timeout=PATIENCE) in (0, -signal.SIGKILL)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        self.ended()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with own_redis() as redis:
        fleet = Fleet(redis.url, tmp_path)
        yield fleet
        for process in fleet.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


async def test_no_window_has_more_than_the_limit_and_nobody_is_refused_who_would_fit(fleet: Fleet) -> None:
    limit = Limit(Subject.KEY, Measure.REQUESTS, 20, WINDOW)
    fleet.start(limit, clients=50)
    await fleet.until(3 * limit.amount)
    fleet.stop()
    lines = fleet.lines()
    times = sorted(line.at for line in lines if isinstance(line, Let))
    for index, first in enumerate(times):
        inside = bisect.bisect_left(times, first + WINDOW * MICROSECONDS) - index
        assert inside <= limit.amount, f"{inside} within {WINDOW} s from {first}"
    refusals = [line for line in lines if isinstance(line, Kept)]
    assert refusals
    slot = WINDOW * MICROSECONDS // SLOTS + 1
    for refused in refusals:
        since = refused.after - WINDOW * MICROSECONDS - slot
        seen = bisect.bisect_right(times, refused.before) - bisect.bisect_left(times, since)
        assert seen >= limit.amount, f"refused at {refused.before} with {seen} in the window"


async def test_a_limit_of_five_lets_five_of_a_thousand_in(fleet: Fleet) -> None:
    fleet.start(Limit(Subject.KEY, Measure.REQUESTS, 5, 3600), clients=250, tries=1)
    fleet.ended()
    lines = fleet.lines()
    assert len(lines) == 250 * PROCESSES
    assert sum(isinstance(line, Let) for line in lines) == 5


async def test_no_more_run_at_one_time_and_those_of_a_killed_worker_are_given_up(fleet: Fleet) -> None:
    limit = Limit(Subject.KEY, Measure.CONCURRENT, 5)
    fleet.start(limit, clients=5, lease=1.0, runs_for=0.1)
    await fleet.until(100)
    for process in fleet.processes[:2]:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = sum(isinstance(line, Let) for line in fleet.lines(2, 3))
    await fleet.until(before + 100, 2, 3)
    fleet.stop()
    ended = [line for line in fleet.lines() if isinstance(line, Let) and line.until is not None]
    edges = sorted(edge for line in ended for edge in ((line.at, 1), (line.until, -1)))
    running = most = 0
    for _, step in sorted(edges, key=lambda edge: (edge[0], edge[1])):
        running += step
        most = max(most, running)
    assert most <= limit.amount
    assert most > 1, "they did run at one time"
