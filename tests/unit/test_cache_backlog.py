"""What Redis has not been told, and which entities that keeps from being read there."""

from gatewayz.cache.backlog import MOST_UNSENT, Backlog
from gatewayz.cache.cascade import Target
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.scope import name_of_tag


async def load(_source: object, key: str) -> str:
    return key


ROWS = Entity(name="rows", value=str, load=load, policy=Policy(fresh=1))
TAGGED = Entity(name="tagged", value=str, load=load, policy=Policy(fresh=1), tags=("account",))


def test_it_concerns_the_entity_whose_key_or_whole_is_dead_and_no_other() -> None:
    for target in (Target("rows", "a"), Target("rows", None)):
        backlog = Backlog()
        backlog.add([target], announce=True, floor=0)
        assert backlog.concerns(ROWS)
        assert not backlog.concerns(TAGGED)


def test_a_tag_concerns_each_entity_whose_values_may_carry_it() -> None:
    backlog = Backlog()
    backlog.add([Target(name_of_tag("account:1"), None)], announce=True, floor=0)
    assert backlog.concerns(TAGGED)
    assert not backlog.concerns(ROWS)
    backlog.sent(dict(backlog))
    assert not backlog.concerns(TAGGED)


def test_what_was_added_again_while_it_was_sent_is_still_to_be_sent() -> None:
    backlog = Backlog()
    backlog.add([Target("rows", "a")], announce=True, floor=3)
    batch = dict(backlog)
    backlog.add([Target("rows", "a")], announce=False, floor=2)
    backlog.sent(batch)
    assert backlog.concerns(ROWS)
    (again,) = backlog.values()
    assert (again.announce, again.floor) == (True, 3)
    backlog.sent(dict(backlog))
    assert len(backlog) == 0
    assert not backlog.concerns(ROWS)


def test_of_very_many_keys_the_whole_entity_is_remembered() -> None:
    backlog = Backlog()
    backlog.add([Target("rows", str(n)) for n in range(MOST_UNSENT + 5)], announce=False, floor=0)
    assert len(backlog) == MOST_UNSENT + 1
    assert Target("rows", None) in backlog
    backlog.sent(dict(backlog))
    assert not backlog.concerns(ROWS)
