"""The process that holds the jobs: begins what is due or asked for, and lets go of what it cannot vouch for.

A run's row is a lease. Its holder says every BEAT seconds that it lives, and cancels the work GIVEN_UP_AFTER seconds
after it last could; others take it for dead after DEAD_AFTER. So a holder that lost its place, but not its life, has
stopped before another begins. What no cancellation reaches (a thread, a stopped process) must be fenced by itself.
"""

import asyncio
import functools
from collections.abc import Iterable

import structlog

from gatewayz.core.clock import Clock
from gatewayz.core.errors import GatewayzError, Unavailable
from gatewayz.jobs.model import Asked, Job, Outcome, Result
from gatewayz.jobs.repository import Begun, JobsRepository

LOOK_EVERY = 0.5
BEAT = 0.5
GIVEN_UP_AFTER = 1.5
DEAD_AFTER = 2.5
MOST_AT_ONCE = 4

log = structlog.get_logger("gatewayz.jobs")


class _Lost(Exception):
    """Another may be running it by now."""


class Holder:
    """`name`: of this process, for people."""

    def __init__(self, jobs: Iterable[Job], repository: JobsRepository, clock: Clock, *, name: str) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._repository = repository
        self._clock = clock
        self._name = name
        self._running: dict[str, asyncio.Task[None]] = {}

    async def hold(self) -> None:
        """Run the jobs, for ever. Only the elected process should. Raises Unavailable; nothing runs any more then."""
        try:
            await self._repository.declare(list(self._jobs.values()), self._name)
            log.info("jobs_held", holder=self._name, jobs=len(self._jobs))
            while True:
                for job in await self._repository.abandon(DEAD_AFTER):
                    log.warning("job_abandoned", job=job, remedy="its holder died; it is begun again")
                await self._begin()
                await asyncio.sleep(LOOK_EVERY)
        finally:
            await self._leave()

    async def _begin(self) -> None:
        while len(self._running) < MOST_AT_ONCE:
            run = await self._repository.begin_next(self._name, self._jobs.keys() - self._running.keys())
            if run is None:
                return
            task = asyncio.create_task(self._run(self._jobs[run.job], run), name=f"job {run.job}")
            self._running[run.job] = task
            task.add_done_callback(functools.partial(self._ended, run.job))

    def _ended(self, job: str, _task: asyncio.Task[None]) -> None:
        self._running.pop(job, None)

    async def _leave(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, job: Job, run: Begun) -> None:
        began, asked = self._clock.monotonic(), Asked(is_dry=run.is_dry)
        outcome, result, reason = await self._outcome(job, run, asked)
        took = round(self._clock.monotonic() - began, 3)
        if outcome == "succeeded":
            log.info("job_done", job=job.name, run=run.id, seconds=took)
        else:
            log.warning("job_failed", job=job.name, run=run.id, seconds=took, outcome=outcome, reason=reason)
        if outcome == "abandoned":
            return  # whoever holds the jobs then says so
        try:
            await self._repository.end(run, outcome, result, reason, asked.progress)
        except Unavailable as error:
            log.warning("job_end_not_noted", job=job.name, run=run.id, reason=error.message)

    async def _outcome(self, job: Job, run: Begun, asked: Asked) -> tuple[Outcome, Result | None, str | None]:
        work = asyncio.ensure_future(job.work(asked))
        try:
            async with asyncio.timeout(job.within):
                await self._vouch(work, run, asked)
        except _Lost:
            return "abandoned", None, "the database was not reached in time to say that it still runs"
        except TimeoutError:
            return "failed", None, f"it took longer than {job.within:g} s"
        finally:
            work.cancel()
            await asyncio.wait({work})
        error = work.exception()
        if error is None:
            return "succeeded", work.result(), None
        return "failed", None, error.message if isinstance(error, GatewayzError) else f"{type(error).__name__}: {error}"

    async def _vouch(self, work: asyncio.Future[Result], run: Begun, asked: Asked) -> None:
        """Until the work is done; raises _Lost GIVEN_UP_AFTER seconds after the row was last told that it lives."""
        vouched_at = self._clock.monotonic()
        while not (await asyncio.wait({work}, timeout=BEAT))[0]:
            asked_at = self._clock.monotonic()
            try:
                async with asyncio.timeout(vouched_at + GIVEN_UP_AFTER - asked_at):
                    is_ours = await self._repository.beat(run.id, asked.progress)
            except (TimeoutError, Unavailable) as error:
                if self._clock.monotonic() - vouched_at >= GIVEN_UP_AFTER - BEAT:
                    raise _Lost from error
                continue
            if not is_ours:
                raise _Lost
            vouched_at = asked_at
