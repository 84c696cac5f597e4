"""Claims on requests that are to run once, beside workers that die."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.support.gateway import parts_of

from gatewayz.app import Parts
from gatewayz.idempotency.errors import StillRunning
from gatewayz.idempotency.model import Claim, KeptAnswer, Once
from gatewayz.idempotency.repository import IdempotencyRepository
from gatewayz.idempotency.service import Idempotency
from gatewayz.settings import Settings

ANSWER = KeptAnswer("application/json", b"{}")


@pytest.fixture
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    async with parts_of(settings) as parts:
        yield parts


def worker(parts: Parts, *, claim_lasts: float = 60, keep: float = 60, most_bytes: int = 100) -> Idempotency:
    repository = IdempotencyRepository(parts.database, claim_lasts=claim_lasts, keep=keep)
    return Idempotency(repository, most_bytes=most_bytes)


async def once(parts: Parts, body: bytes = b"{}") -> Once:
    key = (await parts.keys.list_keys()).items[0]
    return worker(parts).named(key.id, "name", "/v1/chat/completions", body)


async def test_who_takes_over_from_the_dead_charges_under_the_same_id_and_the_dead_keep_nothing(parts: Parts) -> None:
    wanted = await once(parts)
    dying, heir = worker(parts, claim_lasts=0), worker(parts)
    async with dying.claimed(wanted) as first, heir.claimed(wanted) as second:
        assert isinstance(first, Claim)
        assert isinstance(second, Claim)
        assert first.generation == second.generation
        assert first.token != second.token
        await dying.keep(first, KeptAnswer("text/plain", b"late"))
        await heir.keep(second, ANSWER)
    async with worker(parts).claimed(wanted) as kept:
        assert kept == ANSWER


async def test_a_renewed_claim_is_not_taken_over(parts: Parts) -> None:
    wanted = await once(parts)
    brief, renewing = worker(parts, claim_lasts=0), worker(parts)
    async with brief.claimed(wanted) as claim:
        assert isinstance(claim, Claim)
        renewing._running[claim.token] = claim
        await renewing.renew()
        with pytest.raises(StillRunning):
            async with worker(parts).claimed(wanted):
                pass


async def test_what_has_expired_is_forgotten_and_runs_under_a_new_id(parts: Parts, db: asyncpg.Connection) -> None:
    wanted = await once(parts)
    short = worker(parts, keep=0)
    async with short.claimed(wanted) as first:
        assert isinstance(first, Claim)
        await short.keep(first, ANSWER)
    async with short.claimed(await once(parts, b"something else")) as second:
        assert isinstance(second, Claim)
        assert second.generation != first.generation
    await short.forget_expired()
    assert await db.fetchval("SELECT count(*) FROM idempotent_requests") == 0


async def test_an_answer_that_is_too_large_is_not_kept_and_frees_the_name(parts: Parts) -> None:
    wanted = await once(parts)
    small = worker(parts, most_bytes=1)
    async with small.claimed(wanted) as claim:
        assert isinstance(claim, Claim)
        await small.keep(claim, ANSWER)
    async with small.claimed(wanted) as again:
        assert isinstance(again, Claim)
