"""Jobs and their runs in the database, whose clock alone counts."""

from collections.abc import Collection, Iterable

import msgspec
from asyncpg import Record, UniqueViolationError
from msgspec import Struct

from gatewayz.jobs.errors import AskedTooOften, NoDryRun, NoSuchJob
from gatewayz.jobs.model import Job, JobState, Outcome, Result, Run
from gatewayz.storage.audit import Act, note
from gatewayz.storage.database import Database

KEPT_RUNS = 200
"""Of each job."""
MOST_WAITING = 10
FIRST_PAUSE = 30.0
"""Seconds after a first failure, doubled by each further one, up to the job's interval."""
_TRIES_OF_ASKED = 3

# Who takes the jobs over tries at once what failed: a setting may have been mended. A shorter interval counts at once.
_DECLARE = """
INSERT INTO jobs AS j (name, description, every, can_be_dry, due_at, holder)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5), $6)
ON CONFLICT (name) DO UPDATE SET
    description = excluded.description, every = excluded.every, can_be_dry = excluded.can_be_dry,
    is_declared = true, holder = excluded.holder,
    due_at = CASE WHEN j.failures > 0 THEN least(j.due_at, now())
                  ELSE least(j.due_at, now() + make_interval(secs => excluded.every)) END
"""
_UNDECLARE = "UPDATE jobs SET is_declared = false WHERE is_declared AND name <> ALL($1)"
_BEGIN_ASKED = """
UPDATE job_runs SET holder = $1, began_at = clock_timestamp(), alive_at = clock_timestamp()
WHERE id = (
    SELECT r.id FROM job_runs r WHERE r.began_at IS NULL AND r.job = ANY($2)
    AND NOT EXISTS (SELECT FROM job_runs o WHERE o.job = r.job AND o.began_at IS NOT NULL AND o.ended_at IS NULL)
    ORDER BY r.id LIMIT 1
)
RETURNING *
"""
_BEGIN_DUE = """
INSERT INTO job_runs (job, holder, began_at, alive_at)
SELECT j.name, $1, clock_timestamp(), clock_timestamp() FROM jobs j WHERE j.due_at <= now() AND j.name = ANY($2)
AND NOT EXISTS (SELECT FROM job_runs o WHERE o.job = j.name AND o.began_at IS NOT NULL AND o.ended_at IS NULL)
ORDER BY j.due_at LIMIT 1
RETURNING *
"""
_BEAT = """
UPDATE job_runs SET alive_at = clock_timestamp(), progress = $2 WHERE id = $1 AND ended_at IS NULL RETURNING true
"""
_END = """
UPDATE job_runs SET ended_at = clock_timestamp(), outcome = $2, result = $3::text::jsonb, reason = $4, progress = $5
WHERE id = $1 AND ended_at IS NULL RETURNING true
"""
_NEXT = """
UPDATE jobs SET failures = CASE WHEN $2 THEN 0 ELSE failures + 1 END,
    due_at = clock_timestamp() + make_interval(secs => CASE
        WHEN $2 THEN every ELSE least(every, $3 * 2 ^ least(failures, 20)) END)
WHERE name = $1
"""
_PRUNE = """
DELETE FROM job_runs WHERE job = $1 AND ended_at IS NOT NULL AND id <= (
    SELECT id FROM job_runs WHERE job = $1 ORDER BY id DESC OFFSET $2 LIMIT 1
)
"""
# What was begun and never ended is begun again at once, once: what kills whoever runs it must not do so for ever.
_ABANDON = """
WITH dead AS (
    UPDATE job_runs SET ended_at = clock_timestamp(), outcome = 'abandoned',
        reason = 'its holder ' || holder || ' died or lost the database'
    WHERE began_at IS NOT NULL AND ended_at IS NULL AND alive_at < clock_timestamp() - make_interval(secs => $1)
    RETURNING job, asked_by, is_dry
), later AS (
    UPDATE jobs j SET failures = failures + 1,
        due_at = CASE WHEN failures = 0 THEN now() ELSE now() + make_interval(secs =>
            least(every, $2 * 2 ^ least(failures - 1, 20))) END
    FROM dead d WHERE d.job = j.name AND d.asked_by IS NULL
), again AS (
    INSERT INTO job_runs (job, asked_by, is_dry) SELECT job, asked_by, is_dry FROM dead d WHERE asked_by IS NOT NULL
    AND $3 > (SELECT count(*) FROM job_runs r WHERE r.job = d.job AND r.outcome = 'abandoned'
              AND r.ended_at > now() - interval '10 minutes')
)
SELECT job FROM dead
"""
_SHOWN = """
id, job, asked_by, extract(epoch FROM asked_at)::float8 AS asked_at, is_dry, holder,
extract(epoch FROM began_at)::float8 AS began_at, extract(epoch FROM ended_at)::float8 AS ended_at,
progress, outcome, result::text AS result, reason
"""
_STATES = """
SELECT name, description, every, can_be_dry, extract(epoch FROM due_at)::float8 AS due_at, failures, holder
FROM jobs WHERE is_declared AND ($1::text IS NULL OR name = $1) ORDER BY name
"""
_LAST = f"""
SELECT DISTINCT ON (job) {_SHOWN} FROM job_runs WHERE $1::text IS NULL OR job = $1 ORDER BY job, job_runs.id DESC
"""  # noqa: S608  columns of ours
_HISTORY = f"SELECT {_SHOWN} FROM job_runs WHERE job = $1 ORDER BY job_runs.id DESC LIMIT $2"  # noqa: S608  as above
_RUN = f"SELECT {_SHOWN} FROM job_runs WHERE id = $1"  # noqa: S608  as above
_ASK = """
INSERT INTO job_runs (job, asked_by, is_dry) VALUES ($1, $2, $3) RETURNING id
"""
_ASKED_ALREADY = "SELECT id FROM job_runs WHERE job = $1 AND began_at IS NULL AND is_dry = $2 LIMIT 1"
_KNOWN = "SELECT can_be_dry FROM jobs WHERE name = $1 AND is_declared FOR UPDATE"
_WAITING = "SELECT count(*) FROM job_runs WHERE job = $1 AND began_at IS NULL"


class Begun(Struct, frozen=True):
    """A run that is ours to do. Those that were asked for change nothing of when the next one is due."""

    id: int
    job: str
    is_asked: bool
    is_dry: bool


class _AskedRun(Struct, frozen=True):
    """What the audit log says of a run that was asked for."""

    run: int
    is_dry: bool


class JobsRepository:
    """Methods raise Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def declare(self, jobs: Collection[Job], holder: str) -> None:
        """These are the jobs from now on; `holder` runs them."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_UNDECLARE, [job.name for job in jobs])
            for job in jobs:
                first = 0.0 if job.is_eager else job.every
                terms = (job.name, job.description, job.every, job.can_be_dry)
                await connection.execute(_DECLARE, *terms, first, holder)

    async def abandon(self, silent_for: float) -> list[str]:
        """Give up the runs of whom nothing was heard for so many seconds; returns their jobs, which are due again."""
        rows = await self._database.fetch(_ABANDON, silent_for, FIRST_PAUSE, _TRIES_OF_ASKED)
        return [row["job"] for row in rows]

    async def begin_next(self, holder: str, among: Iterable[str]) -> Begun | None:
        """Begin one run, asked for or due. Of one job only one runs at any time: the database refuses another."""
        names = list(among)
        for statement in (_BEGIN_ASKED, _BEGIN_DUE):
            try:
                row = await self._database.fetch_row(statement, holder, names)
            except UniqueViolationError:
                continue  # somebody else began it just now
            if row is not None:
                return Begun(row["id"], row["job"], row["asked_by"] is not None, row["is_dry"])
        return None

    async def beat(self, run: int, progress: str) -> bool:
        """Say that it still runs. False: it was given up, and may be running elsewhere."""
        return await self._database.fetch_value(_BEAT, run, progress or None) is not None

    async def end(self, run: Begun, outcome: Outcome, result: Result | None, reason: str | None, progress: str) -> bool:
        """Note how it ended and when the next one is due. False, with nothing noted: it had been given up."""
        text = None if result is None else msgspec.json.encode(result).decode()
        async with self._database.connection() as connection, connection.transaction():
            if await connection.fetchval(_END, run.id, outcome, text, reason, progress or None) is None:
                return False
            if not run.is_asked:
                await connection.execute(_NEXT, run.job, outcome == "succeeded", FIRST_PAUSE)
            await connection.execute(_PRUNE, run.job, KEPT_RUNS)
        return True

    async def ask(self, job: str, act: Act, *, is_dry: bool = False) -> int:
        """Have it run as soon as it can; returns the run's id. Who asks for what waits already gets that one.

        Raises NoSuchJob, NoDryRun, AskedTooOften.
        """
        async with self._database.connection() as connection, connection.transaction():
            can_be_dry: bool | None = await connection.fetchval(_KNOWN, job)
            if can_be_dry is None:
                raise _no_such_job(job)
            if is_dry and not can_be_dry:
                raise NoDryRun(f"{job!r} has no dry run: it cannot tell what it would do", param="dry_run")
            waiting: int | None = await connection.fetchval(_ASKED_ALREADY, job, is_dry)
            if waiting is not None:
                return waiting
            if await connection.fetchval(_WAITING, job) >= MOST_WAITING:
                raise AskedTooOften(f"{MOST_WAITING} runs of {job!r} wait already; see `gatewayz jobs history {job}`")
            run: int = await connection.fetchval(_ASK, job, act.actor, is_dry)
            await note(connection, act, "job.run", job, after=_AskedRun(run, is_dry))
            return run

    async def list_states(self, job: str | None = None) -> list[JobState]:
        """By name."""
        async with self._database.connection() as connection:
            states = await connection.fetch(_STATES, job)
            last = {row["job"]: _run(row) for row in await connection.fetch(_LAST, job)}
        return [JobState(**dict(row), last=last.get(row["name"])) for row in states]

    async def get_state(self, job: str) -> JobState:
        """Raises NoSuchJob."""
        found = await self.list_states(job)
        if not found:
            raise _no_such_job(job)
        return found[0]

    async def list_runs(self, job: str, limit: int) -> list[Run]:
        """The newest first."""
        return [_run(row) for row in await self._database.fetch(_HISTORY, job, limit)]

    async def find_run(self, run: int) -> Run | None:
        row = await self._database.fetch_row(_RUN, run)
        return None if row is None else _run(row)


def _no_such_job(job: str) -> NoSuchJob:
    return NoSuchJob(f"there is no job {job!r}; `gatewayz jobs` lists them", param="name")


def _run(row: Record) -> Run:
    result = row["result"]
    return Run(**{**dict(row), "result": None if result is None else msgspec.json.decode(result)})
