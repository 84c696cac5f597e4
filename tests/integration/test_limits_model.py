"""Admission against a list of all that was let in, over random histories; both ways of counting at once."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec import Struct
from redis.asyncio import Redis
from tests.support.admissions import Admissions, alone, over_redis
from tests.support.own_redis import own_redis

from gatewayz.core.limit import Limit, Measure, Subject
from gatewayz.limits.model import Admitted, Outcome, Unfunded
from gatewayz.limits.scripts import SLOTS

LIMITS = (
    Limit(Subject.KEY, Measure.REQUESTS, 5, 60),
    Limit(Subject.KEY, Measure.TOKENS, 100, 60),
    Limit(Subject.ACCOUNT, Measure.REQUESTS, 8, 60),
    Limit(Subject.ACCOUNT, Measure.TOKENS, 400, 3600),
)
KEYS = ("key_1", "key_2")


class Let(Struct):
    """When, by the microsecond; `tokens`: those reserved, and once it is settled those used."""

    at: int
    key: str
    tokens: int


class Listed:
    """The rule as words say it: what came less than a window ago, give or take one slot, counts."""

    def __init__(self) -> None:
        self.let: list[Let] = []

    def counted(self, limit: Limit, key: str, now: int) -> list[Let]:
        width = limit.window * 1_000_000 / SLOTS
        oldest = math.floor(now / width) - SLOTS
        mine = [each for each in self.let if limit.subject is Subject.ACCOUNT or each.key == key]
        return [each for each in mine if math.floor(each.at / width) >= oldest]

    def admits(self, key: str, tokens: int, now: int) -> bool:
        for limit in LIMITS:
            found = self.counted(limit, key, now)
            used = len(found) if limit.measure is Measure.REQUESTS else sum(each.tokens for each in found)
            more = 1 if limit.measure is Measure.REQUESTS else tokens
            if used + more > limit.amount:
                return False
        return True

    def check_true_windows(self) -> None:
        """No window of the true length ever held more, wherever it begins."""
        for limit in LIMITS:
            for key in KEYS:
                mine = [each for each in self.let if limit.subject is Subject.ACCOUNT or each.key == key]
                for first in mine:
                    inside = [each for each in mine if first.at <= each.at < first.at + limit.window * 1_000_000]
                    if limit.measure is Measure.REQUESTS:
                        assert len(inside) <= limit.amount


Step = tuple[Any, ...]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(KEYS), st.integers(0, 120)),
        st.tuples(st.just("turn"), st.sampled_from([0.0, 0.001, 0.01, 0.5, 7.0, 59.99, 60.02, 1800.0, 3600.7])),
        st.tuples(st.just("settle"), st.integers(0, 5), st.integers(0, 150)),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def redis_socket() -> Iterator[str]:
    with own_redis() as redis:
        yield redis.url


@given(steps=STEPS)
@settings(max_examples=120, deadline=None)
def test_both_ways_of_counting_do_what_the_list_says(redis_socket: str, steps: list[Step]) -> None:
    asyncio.run(_follow(redis_socket, steps))


async def _follow(url: str, steps: list[Step]) -> None:
    async with AsyncExitStack() as stack:
        async with Redis.from_url(url) as redis:
            await redis.flushall()
        both = [await stack.enter_async_context(way) for way in (over_redis(url), alone())]
        await both[1].turn(1.0)
        await _compare(both, Listed(), steps)


async def _compare(both: list[Admissions], listed: Listed, steps: list[Step]) -> None:
    running: list[tuple[Let, list[Admitted]]] = []
    for what, *arguments in steps:
        if what == "turn":
            for way in both:
                await way.turn(arguments[0])
        elif what == "ask":
            key, tokens = arguments
            now = round(both[0].clock.monotonic() * 1_000_000)
            outcomes = [await way.ask(*LIMITS, tokens=tokens, key=key) for way in both]
            expected = listed.admits(key, tokens, now)
            assert [isinstance(each, Admitted) for each in outcomes] == [expected, expected]
            assert _remaining(outcomes[0]) == _remaining(outcomes[1])
            if expected:
                let = Let(now, key, tokens)
                listed.let.append(let)
                running.append((let, [each for each in outcomes if isinstance(each, Admitted)]))
        elif running:
            let, admitted = running.pop(arguments[0] % len(running))
            for way, each in zip(both, admitted, strict=True):
                await way.settle(each, tokens=arguments[1])
            let.tokens = arguments[1]
    listed.check_true_windows()


def _remaining(outcome: Outcome) -> list[int]:
    assert not isinstance(outcome, Unfunded)
    return [each.remaining for each in outcome.standings]
