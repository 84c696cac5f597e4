"""The cache at a glance: whether anything needs its operator. Admin key only."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from fastapi import APIRouter, Response

from gatewayz.api.admin.route import admin_router
from gatewayz.api.cache_forms import CacheStatusForm, ConsistencyForm, NowForm, RedisReachForm, WorkerForm, WorkersForm
from gatewayz.api.cache_glance import GLANCE, Glance
from gatewayz.api.callers import Callers
from gatewayz.api.health import Check
from gatewayz.cache.breaker import BreakerState
from gatewayz.core.errors import Unavailable
from gatewayz.storage.outbox import Outbox
from gatewayz.telemetry.siblings import Answers, Siblings

_NO_REDIS = "none"
_BACKLOG = 1000
"""Changes that may wait without a remark: a large sync leaves as many for an instant."""

_decode = msgspec.msgpack.Decoder(Glance).decode


def status_routes(callers: Callers, siblings: Siblings, redis: Check | None, outbox: Outbox) -> APIRouter:
    """`redis`: says why it does not answer."""
    router = admin_router(callers, "/admin/cache-status")

    @router.get("")
    async def status(response: Response) -> CacheStatusForm:
        """The cache of all workers now: hit rate, memory, Redis, invalidations, consistency, and what needs a look."""
        response.headers["cache-control"] = "no-store"
        answers, waiting = await asyncio.gather(siblings.ask(GLANCE), _backlog(outbox))
        glances = [_decode(said) for said in answers.told.values()]
        has_redis = any(each.breaker != _NO_REDIS for each in glances)
        reach = await _reach(redis) if has_redis and redis is not None else None
        remarks = list(_remarks(answers, glances, reach, waiting))
        return CacheStatusForm(
            status="degraded" if remarks else "ok",
            remarks=remarks,
            workers=WorkersForm(
                answering=len(glances), silent=len(answers.silent), of=len(glances) + len(answers.silent)
            ),
            now=_now(glances),
            fill=max(each.fill for each in glances),
            redis=reach,
            consistency=_consistency(glances),
            outbox=waiting,
            by_worker=[_worker(each) for each in glances],
        )

    return router


async def _backlog(outbox: Outbox) -> int | None:
    try:
        return await outbox.backlog()
    except Unavailable:
        return None


async def _reach(redis: Check) -> RedisReachForm:
    reason = await redis()
    return RedisReachForm(is_reachable=reason is None, reason=reason)


def _remarks(
    answers: Answers, glances: Sequence[Glance], redis: RedisReachForm | None, waiting: int | None
) -> Iterator[str]:
    of = len(glances)
    if answers.silent:
        yield f"{len(answers.silent)} of {of + len(answers.silent)} workers do not answer: they are missing here"
    if redis is not None and redis.reason is not None:
        yield redis.reason
    if left := sum(each.breaker in (BreakerState.OPEN, BreakerState.HALF_OPEN) for each in glances):
        yield f"{left} of {of} workers leave Redis alone for now: it failed or was too slow"
    if deaf := sum(not each.is_trusted for each in glances):
        yield f"{deaf} of {of} workers hear no invalidations: they keep nothing in memory that may never be stale"
    if unsent := sum(each.unsent for each in glances):
        yield f"Redis has not heard of {unsent} invalidations yet"
    if violations := sum(each.violations for each in glances):
        yield f"{violations} violations of consistency since the start: see the log for `cache_violation`"
    if waiting is None:
        yield "the database does not tell which changes wait"
    elif waiting > _BACKLOG:
        yield f"{waiting} changes of rows wait to be applied: is a relay elected?"


def _now(glances: Iterable[Glance]) -> NowForm:
    of = list(glances)
    reads, hits = sum(each.recent_reads for each in of), sum(each.recent_hits for each in of)
    return NowForm(reads=reads, hits=hits, hit_rate=hits / reads if reads else None)


def _consistency(glances: Sequence[Glance]) -> ConsistencyForm:
    """The nines are those of the worker that has the fewest."""
    nines: dict[str, float] = {}
    for each in (each for glance in glances for each in glance.within):
        if each.nines is not None:
            name = f"{each.seconds:g}"
            nines[name] = min(nines.get(name, each.nines), each.nines)
    return ConsistencyForm(
        checks=sum(each.checks for each in glances),
        violations=sum(each.violations for each in glances),
        nines=nines,
    )


def _worker(glance: Glance) -> WorkerForm:
    return WorkerForm(
        worker=glance.pid,
        entries=glance.entries,
        bytes=glance.bytes,
        fill=glance.fill,
        breaker=glance.breaker,
        hears_others=glance.is_trusted,
        unsent_invalidations=glance.unsent,
        now=_now([glance]),
    )
