"""Whatever is asked for, in whichever order and however often: each text has its vector, and is asked for once."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fake_upstream import vector_of
from tests.support.vectors_world import VectorsWorld

from gatewayz.core.errors import ProviderFailed
from gatewayz.responses.items import items_of
from gatewayz.responses.vector import shares

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=2)
FEW = settings(max_examples=30)
INPUTS = st.lists(TEXTS, min_size=1, max_size=6) | st.lists(TOKENS, min_size=1, max_size=6) | TEXTS | TOKENS


def check(answer: dict[str, Any], given: Any) -> None:  # noqa: ANN401  a text, tokens, or many
    texts = items_of(given)
    assert [entry["index"] for entry in answer["data"]] == list(range(len(texts)))
    assert [entry["embedding"] for entry in answer["data"]] == [vector_of(text) for text in texts]


def distinct(inputs: Sequence[Any]) -> set[bytes]:
    return {msgspec.json.encode(text) for given in inputs for text in items_of(given)}


@FEW
@given(st.lists(st.lists(INPUTS, min_size=1, max_size=4), max_size=4), st.randoms(use_true_random=False))
def test_requests_after_and_beside_each_other_ask_for_each_text_once(
    groups: list[list[Any]], rng: random.Random
) -> None:
    async def run() -> None:
        world = VectorsWorld(rng)
        for group in groups:
            answers = await asyncio.gather(*[world.ask(each) for each in group])
            for answer, each in zip(answers, group, strict=True):
                check(answer, each)
            used = sum(answer["usage"]["prompt_tokens"] for answer in answers)
            assert used == 2 * sum(len(texts) for texts in world.provider.asked)
            known = distinct([each for before in groups[: groups.index(group) + 1] for each in before])
            assert sum(len(texts) for texts in world.provider.asked) <= len(known)
            world.provider.asked.clear()
        await world.cache.close()

    asyncio.run(run())


@FEW
@given(INPUTS, INPUTS, st.randoms(use_true_random=False))
def test_what_is_partly_known_is_told_by_what_was_used_for_it(first: Any, second: Any, rng: random.Random) -> None:  # noqa: ANN401  as check
    async def run() -> None:
        world = VectorsWorld(rng)
        await world.ask(first)
        answer = await world.ask(second)
        check(answer, second)
        known = distinct([first]) & distinct([second])
        assert answer["usage"]["prompt_tokens"] == 2 * len(distinct([second]) - known)
        cached = answer["gatewayz"]["cached_usage"]["prompt_tokens"] if known else 0
        if known == distinct([first]):
            assert cached == 2 * len(known)
        calls = [distinct([texts]) for texts in world.provider.asked[1:]]
        assert calls == ([distinct([second]) - known] if known != distinct([second]) else [])
        await world.cache.close()

    asyncio.run(run())


@FEW
@given(INPUTS, INPUTS, st.randoms(use_true_random=False))
def test_a_call_that_fails_leaves_nothing_and_harms_nothing_that_was_kept(
    first: Any,  # noqa: ANN401  as check
    second: Any,  # noqa: ANN401  as check
    rng: random.Random,
) -> None:
    async def run() -> None:
        world = VectorsWorld(rng)
        await world.ask(first)
        world.provider.failing = True
        if distinct([second]) <= distinct([first]):
            check(await world.ask(second), second)
        else:
            try:
                await world.ask(second)
            except ProviderFailed:
                pass
            else:
                raise AssertionError("nobody could have answered")
        check(await world.ask(first), first)
        await world.cache.close()

    asyncio.run(run())


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_shares_are_of_whole_numbers_and_their_sum_is_the_whole(total: int, weights: list[int]) -> None:
    parts = shares(total, weights)
    assert len(parts) == len(weights)
    assert all(part >= 0 for part in parts)
    assert sum(parts) == (total if sum(weights) else 0)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / (sum(weights) or 1)) <= 1
