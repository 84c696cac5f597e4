"""Admission over Redis and by one worker alone, both on a clock that tests turn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from gatewayz.core.ids import AccountId, ApiKeyId, TrancheId
from gatewayz.core.limit import Limit, Measure, Subject
from gatewayz.core.money import NanoUsd
from gatewayz.limits import scripts
from gatewayz.limits.admission import Admission
from gatewayz.limits.local import LocalLimits
from gatewayz.limits.model import Admitted, Ask, Outcome, PurseName, Refused
from gatewayz.limits.shared import SharedLimits
from tests.support.fake_clock import FakeClock
from tests.support.turned_scripts import TurnedScripts, turn_to

LEASE = 15.0


class Admissions:
    """`clock` is turned by `turn`."""

    def __init__(self, admission: Admission, clock: FakeClock, redis: Redis | None) -> None:
        self.admission = admission
        self.clock = clock
        self._redis = redis
        self._count = 0

    async def turn(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if self._redis is not None:
            await turn_to(self._redis, self.clock.monotonic())

    async def ask(
        self,
        *limits: Limit,
        tokens: int = 0,
        hold: int = 0,
        account: int = 1,
        key: str = "key_1",
        purse: str | None = None,
    ) -> Outcome:
        self._count += 1
        return await self.admission.admit(
            Ask(
                request=f"gen_{self._count}",
                account_id=AccountId(account),
                key_id=ApiKeyId(key),
                limits=limits,
                tokens=tokens,
                hold=NanoUsd(hold),
                purse=None if purse is None else ApiKeyId(purse),
            )
        )

    async def settle(self, admitted: Outcome, *, tokens: int = 0, cost: int = 0) -> None:
        """Whatever is asked next is asked after it."""
        assert isinstance(admitted, Admitted)
        self.admission.settle(admitted, tokens=tokens, cost=NanoUsd(cost))
        # A server that does not know the script yet has been sent its text by the time of the next reply.
        await self.admission.look(PurseName(AccountId(0)), TrancheId(0), is_local=self._redis is None)


@asynccontextmanager
async def over_redis(url: str) -> AsyncIterator[Admissions]:
    async with Redis.from_url(url) as redis:
        turned = TurnedScripts(redis, scripts.ALL)
        clock = FakeClock()
        local = LocalLimits(clock, share=1, lease=LEASE)
        shared = SharedLimits(turned, prefix="l:", lease=LEASE, within=30)
        found = Admissions(Admission(shared, local), clock, redis)
        await found.turn(1.0)
        yield found
        await turned.close()


@asynccontextmanager
async def alone() -> AsyncIterator[Admissions]:
    clock = FakeClock()
    local = LocalLimits(clock, share=1, lease=LEASE)
    yield Admissions(Admission(None, local), clock, None)


def per(seconds: int, *, requests: int | None = None, tokens: int | None = None, by: Subject = Subject.KEY) -> Limit:
    measure = Measure.REQUESTS if requests is not None else Measure.TOKENS
    amount = requests if requests is not None else tokens
    assert amount is not None
    return Limit(by, measure, amount, seconds)


def at_once(amount: int, by: Subject = Subject.KEY) -> Limit:
    return Limit(by, Measure.CONCURRENT, amount)


def wait_of(outcome: Outcome) -> float:
    """Seconds until it would fit."""
    assert isinstance(outcome, Refused)
    assert outcome.retry_after is not None
    return outcome.retry_after
