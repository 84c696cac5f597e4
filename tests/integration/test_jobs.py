"""The fleet's jobs over a real database: due, asked for, failing, taken over. Holders beat by real seconds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from tests.support.gateway import import_lists, listed, listing, parts_of
from tests.support.patience import PATIENCE

from gatewayz.app import Parts
from gatewayz.core.clock import SystemClock
from gatewayz.core.errors import GatewayzError
from gatewayz.fleet_jobs import fleet_jobs
from gatewayz.jobs.errors import NoDryRun, NoSuchJob
from gatewayz.jobs.holder import Holder
from gatewayz.jobs.model import Asked, Job, Run
from gatewayz.settings import Settings
from gatewayz.storage.audit import Act

ACT = Act("key_test")
HOUR = 3600.0


@pytest.fixture
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    async with parts_of(settings) as parts:
        yield parts


def job(work: Callable[[Asked], Awaitable[dict[str, Any]]], *, name: str = "count", **terms: Any) -> Job:  # noqa: ANN401
    return Job(**{"name": name, "description": "Count.", "every": HOUR, "within": 60.0, "work": work, **terms})


@asynccontextmanager
async def held(parts: Parts, *jobs: Job) -> AsyncIterator[None]:
    task = asyncio.create_task(Holder(jobs, parts.jobs, SystemClock(), name="here").hold())
    try:
        await until(lambda: _has(parts, jobs[0].name))
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _has(parts: Parts, name: str) -> bool:
    return any(state.name == name for state in await parts.jobs.list_states())


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await reached():  # noqa: ASYNC110  what is awaited happens in the database
            await asyncio.sleep(0.02)


async def ended(parts: Parts, run: int) -> Run:
    found: list[Run] = []

    async def has_ended() -> bool:
        one = await parts.jobs.find_run(run)
        found[:] = [one] if one is not None and one.outcome is not None else []
        return bool(found)

    await until(has_ended)
    return found[0]


async def test_a_run_is_noted_with_its_result_and_an_asked_one_moves_no_schedule(parts: Parts) -> None:
    async def count(asked: Asked) -> dict[str, Any]:
        return {"dry": asked.is_dry}

    async with held(parts, job(count, can_be_dry=True)):
        before = await parts.jobs.get_state("count")
        run = await ended(parts, await parts.jobs.ask("count", ACT, is_dry=True))
    assert (run.state, run.result, run.asked_by, run.holder) == ("succeeded", {"dry": True}, "key_test", "here")
    assert run.duration is not None
    assert run.duration >= 0
    assert (await parts.jobs.get_state("count")).due_at == before.due_at
    (noted,) = (await parts.audit.list_rows(target="count", limit=10, offset=0)).items
    assert (noted.action, noted.after) == ("job.run", {"run": run.id, "is_dry": True})


async def test_a_failure_keeps_its_reason_and_is_tried_again_after_a_pause(parts: Parts) -> None:
    async def fail(_asked: Asked) -> dict[str, Any]:
        raise GatewayzError("the provider is away")

    async def failed() -> bool:
        return (await parts.jobs.get_state("count")).failures == 1

    async with held(parts, job(fail, is_eager=True)):
        await until(failed)
    state = await parts.jobs.get_state("count")
    assert state.last is not None
    assert state.last.ended_at is not None
    assert (state.last.state, state.last.reason) == ("failed", "the provider is away")
    assert 29 < state.due_at - state.last.ended_at < 31


async def test_what_takes_too_long_is_cancelled_and_failed(parts: Parts) -> None:
    cancelled = asyncio.Event()

    async def hang(asked: Asked) -> dict[str, Any]:
        asked.progress = "1 of 2"
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return {}

    async with held(parts, job(hang, within=0.2)):
        run = await ended(parts, await parts.jobs.ask("count", ACT))
    assert cancelled.is_set()
    assert (run.state, run.reason, run.progress) == ("failed", "it took longer than 0.2 s", "1 of 2")


async def test_who_is_given_up_stops_and_notes_nothing(parts: Parts, db: asyncpg.Connection) -> None:
    """As after a database that was away for longer than a lease: another may be at it by now."""
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(_asked: Asked) -> dict[str, Any]:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return {}

    async with held(parts, job(hang)):
        run = await parts.jobs.ask("count", ACT)
        await asyncio.wait_for(began.wait(), PATIENCE)
        await db.execute("UPDATE job_runs SET ended_at = now(), outcome = 'abandoned' WHERE id = $1", run)
        await asyncio.wait_for(cancelled.wait(), PATIENCE)
        assert (await ended(parts, run)).state == "abandoned"


async def test_what_waits_is_not_asked_for_twice_and_only_what_there_is(parts: Parts) -> None:
    async def nothing(_asked: Asked) -> dict[str, Any]:
        return {}

    await parts.jobs.declare([job(nothing)], "here")
    assert await parts.jobs.ask("count", ACT) == await parts.jobs.ask("count", ACT)
    with pytest.raises(NoDryRun):
        await parts.jobs.ask("count", ACT, is_dry=True)
    with pytest.raises(NoSuchJob):
        await parts.jobs.ask("other", ACT)
    await parts.jobs.declare([job(nothing, name="other")], "there")
    assert [state.name for state in await parts.jobs.list_states()] == ["other"]


async def test_the_database_itself_lets_only_one_of_a_job_run(parts: Parts, db: asyncpg.Connection) -> None:
    async def nothing(_asked: Asked) -> dict[str, Any]:
        return {}

    await parts.jobs.declare([job(nothing, is_eager=True)], "here")
    begun = await asyncio.gather(*(parts.jobs.begin_next(f"h{n}", ["count"]) for n in range(8)))
    assert len([run for run in begun if run is not None]) == 1
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute("INSERT INTO job_runs (job, began_at) VALUES ('count', now())")


async def test_models_inactive_for_long_are_removed_with_what_nobody_sells_any_more(
    parts: Parts, db: asyncpg.Connection
) -> None:
    await import_lists(parts, [listing("acme", listed("kept", "1e-6"), listed("gone", "1e-6"), listed("new", "1e-6"))])
    for name, days in (("gone", 31), ("new", 29)):
        await db.execute(
            "UPDATE models SET is_active = false, updated_at = now() - make_interval(days => $2) WHERE native_id = $1",
            name,
            days,
        )
    (removal,) = [each for each in fleet_jobs(parts, {}) if each.name == "remove-models"]
    assert await removal.work(Asked()) == {"removed": 1}
    left = await db.fetch("SELECT native_id FROM models WHERE provider = 'acme' ORDER BY native_id")
    assert [row["native_id"] for row in left] == ["kept", "new"]
    unsold = "SELECT count(*) FROM unique_models u WHERE u.id NOT IN (SELECT unique_model_id FROM unique_model_offers)"
    assert await db.fetchval(unsold) == 0
