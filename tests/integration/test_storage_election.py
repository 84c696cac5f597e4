import asyncio
import gc
from contextlib import suppress
from typing import Any

import pytest
from tests.support.patience import PATIENCE

from gatewayz.core.errors import Unavailable
from gatewayz.storage.database import connect
from gatewayz.storage.election import lead

LEADER = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Work:
    """Says when it runs and when it has ended, and what it does to end takes its time."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.ended = asyncio.Event()
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            self.ended.set()


async def ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Unavailable):
        await task


async def test_of_many_only_one_leads_and_when_it_ends_one_of_the_others_does(database_url: str) -> None:
    work, others = Work(), [Work() for _ in range(3)]
    leading = asyncio.create_task(lead(database_url, "sync", work))
    async with asyncio.timeout(PATIENCE):
        await work.running.wait()
        waiting = [asyncio.create_task(lead(database_url, "sync", other)) for other in others]
        await asyncio.wait(waiting, timeout=0.7)
        assert [other.times for other in others] == [0, 0, 0]
        await ended(leading)
        running = [asyncio.create_task(other.running.wait()) for other in others]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    assert sum(other.times for other in others) == 1
    for task in (*waiting, *running):
        await ended(task)


async def test_two_roles_have_two_leaders(database_url: str) -> None:
    works = [Work(), Work()]
    tasks = [asyncio.create_task(lead(database_url, f"role {work.times} {id(work)}", work)) for work in works]
    async with asyncio.timeout(PATIENCE):
        for work in works:
            await work.running.wait()
    for task in tasks:
        await ended(task)


async def test_who_led_is_followed_when_its_work_is_done(database_url: str) -> None:
    done = []

    async def work() -> None:
        done.append(1)

    await lead(database_url, "sync", work)
    await lead(database_url, "sync", work)
    assert len(done) == 2


async def test_an_error_of_the_work_is_not_taken_for_one_of_the_database(database_url: str) -> None:
    async def work() -> None:
        raise LookupError("of the work")

    with pytest.raises(LookupError, match="of the work"):
        await lead(database_url, "sync", work)


async def test_a_leader_that_is_stopped_ends_its_work_before_it_gives_up_the_lock(database_url: str) -> None:
    work = Work()
    leading = asyncio.create_task(lead(database_url, "sync", work))
    await work.running.wait()
    await ended(leading)
    assert work.ended.is_set()


async def test_work_that_fails_as_the_lock_is_lost_is_told_of_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the loss of the lock, and not by the loop as well, as an error that nobody took."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", told.append)
    running = asyncio.Event()

    async def work() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError("it needed the database, too") from None

    leading = asyncio.create_task(lead(database_url, "sync", work))
    await running.wait()
    observer = await connect(database_url)
    try:
        assert await observer.fetchval("SELECT pg_terminate_backend($1, 5000)", await observer.fetchval(LEADER))
    finally:
        await observer.close()
    with pytest.raises(Unavailable):
        await leading
    del leading
    await asyncio.sleep(0)
    gc.collect()
    assert not told


@pytest.mark.slow
async def test_when_the_leaders_connection_is_cut_its_work_ends_and_another_takes_over(database_url: str) -> None:
    first, second = Work(), Work()
    leading = asyncio.create_task(lead(database_url, "sync", first))
    await first.running.wait()
    observer = await connect(database_url)
    try:
        pid = await observer.fetchval(LEADER)
        assert await observer.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
        following = asyncio.create_task(lead(database_url, "sync", second))
        async with asyncio.timeout(PATIENCE):
            await second.running.wait()
            with pytest.raises(Unavailable):
                await leading
        assert first.ended.is_set()
        await ended(following)
    finally:
        await observer.close()
