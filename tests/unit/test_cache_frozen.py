import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct
from tests.support.cache_world import Source, local_cache
from tests.support.fake_clock import FakeClock

from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.errors import BadEntity
from gatewayz.cache.frozen import mutable_parts


class Leaf(Struct, frozen=True):
    price: Decimal
    names: tuple[str, ...] = ()


class Tree(Struct, frozen=True):
    leaf: Leaf | None
    left: "Tree | None" = None
    kinds: frozenset[str] = frozenset()


class Open(Struct):
    x: int


@dataclass
class Loose:
    x: int


class Holder(Struct, frozen=True):
    parts: tuple[Open, ...]
    rows: dict[str, int]


@pytest.mark.parametrize("value", [int, bytes, str, Leaf, Tree, tuple[Leaf, int], frozenset[str], Leaf | None])
def test_what_cannot_be_changed_is_let_in(value: Any) -> None:  # noqa: ANN401  types and unions
    assert mutable_parts(value) == []


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (list[int], ["the value is a list"]),
        (Open, ["Open is not frozen"]),
        (Loose, ["Loose is not frozen"]),
        (Any, ["the value may be anything"]),
        (tuple[set[int], ...], ["an item of the value is a set"]),
        (Holder, ["Open is not frozen", "Holder.rows is a dict"]),
    ],
)
def test_what_can_be_changed_is_named(value: Any, parts: list[str]) -> None:  # noqa: ANN401  types
    assert mutable_parts(value) == parts


def test_an_entity_whose_values_a_caller_could_change_is_refused() -> None:
    async def load(_source: object, _key: str) -> Holder | None:
        return None

    entity = Entity(name="holder", value=Holder, load=load, policy=Policy(fresh=1))
    with pytest.raises(BadEntity, match=r"'holder'.*Holder.rows is a dict; use frozen structs"):
        local_cache(Source(), FakeClock(), entities=[entity], rng=random.Random(1))
