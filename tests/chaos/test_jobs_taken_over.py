import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from tests.chaos.run import ROOT
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.alone

KILLS = 10
STANDING = 3
FOLLOWED_WITHIN = 5.0  # what is promised to people, not how fast this machine is

OVERLAPS = """
WITH runs AS (SELECT run, min(at) AS first, max(at) AS last FROM ticks GROUP BY run)
SELECT count(*) FROM runs a JOIN runs b ON a.run < b.run AND a.first <= b.last AND b.first <= a.last
"""


class Standing(NamedTuple):
    """A process, and when it stands for election."""

    process: Process
    stands: asyncio.Task[bytes]

    async def end(self) -> None:
        self.process.kill()
        await self.process.wait()
        await self.stands


@pytest.mark.slow
@pytest.mark.chaos
async def test_whoever_holds_the_jobs_is_killed_and_another_runs_them_soon_and_never_two(
    migrated_database_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        db = await asyncpg.connect(migrated_database_url)
        stack.push_async_callback(db.close)
        await db.execute("CREATE TABLE ticks (run text, pid int, at timestamptz)")
        standing: dict[int, Standing] = {}
        stack.push_async_callback(_end, standing)
        for _ in range(STANDING):
            await _stand(standing, migrated_database_url, tmp_path)
        for _ in range(KILLS):
            # The newest need not stand yet: a process takes its time to start, and one other is enough to follow.
            await asyncio.gather(*(each.stands for each in list(standing.values())[:-1]))
            holder = await _holder(db, standing)
            killed = standing.pop(holder)
            at = await db.fetchval("SELECT clock_timestamp()")
            await killed.end()
            await _stand(standing, migrated_database_url, tmp_path)
            await _holder(db, standing)
            first = await db.fetchval("SELECT min(at) FROM ticks WHERE at > $1 AND pid <> $2", at, holder)
            assert (first - at).total_seconds() < FOLLOWED_WITHIN
    async with AsyncExitStack() as stack:
        db = await asyncpg.connect(migrated_database_url)
        stack.push_async_callback(db.close)
        assert await db.fetchval("SELECT count(DISTINCT pid) FROM ticks") == KILLS + 1
        assert await db.fetchval(OVERLAPS) == 0
        assert await db.fetchval("SELECT count(*) FROM job_runs WHERE outcome = 'abandoned'") >= KILLS


async def _stand(standing: dict[int, Standing], database_url: str, data_dir: Path) -> None:
    command = (sys.executable, "-m", "tests.chaos.jobs_worker", database_url, str(data_dir))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    assert process.stdout is not None
    standing[process.pid] = Standing(process, asyncio.create_task(process.stdout.readline()))


async def _holder(db: asyncpg.Connection, standing: dict[int, Standing]) -> int:
    """The process that wrote last, once it is one of those that live."""
    async with asyncio.timeout(PATIENCE):
        while True:
            pid: int | None = await db.fetchval("SELECT pid FROM ticks ORDER BY at DESC LIMIT 1")
            if pid in standing:
                return pid
            await asyncio.sleep(0.02)


async def _end(standing: dict[int, Standing]) -> None:
    for each in standing.values():
        await each.end()
