"""The forbidden histories: for each a way to take its fence out of the real code, and what is then seen."""

import asyncio
import inspect
import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import msgspec
from msgspec import Struct

from gatewayz.cache import fills, scripts
from gatewayz.cache.codec import Life
from gatewayz.cache.entity import Entity
from gatewayz.cache.fills import Fills
from gatewayz.cache.flight import Flight
from gatewayz.cache.full_read import FullRead
from gatewayz.cache.invalidation import Invalidations
from gatewayz.cache.landing import Landing
from gatewayz.cache.loads import Loads
from gatewayz.cache.memory import Memory, Shelf
from gatewayz.cache.reader import Reader
from gatewayz.cache.reading import Fill, Filled, Reading
from gatewayz.cache.redis_tier import RedisTier
from gatewayz.cache.scope import Held
from tests.simulation import operations, world
from tests.simulation.faults import BY_NAME, FAIL_OVER, Fault
from tests.simulation.operations import OPERATIONS
from tests.simulation.world import Change, Plan, Worker, World, replaced

Removal = Callable[[], AbstractContextManager[None]]


class Plant(Struct, frozen=True, kw_only=True):
    """`remove` takes the fence out; `seen` begins or is part of the first violation;
    `seeds`: in how many it must be seen at the latest.
    """

    letter: str
    history: str
    remove: Removal
    plan: Plan
    seen: str
    seeds: int = 400
    steps: int = 100

    @property
    def name(self) -> str:
        return f"{self.letter} {self.history}"


def faults(*names: str) -> tuple[Fault, ...]:
    return tuple(BY_NAME[name] for name in names)


def often(**weights: float) -> tuple[operations.Operation, ...]:
    """The operations with other weights, by name with `_` for a space."""
    return tuple(
        msgspec.structs.replace(each, weight=weights.get(each.name.replace(" ", "_"), each.weight))
        for each in OPERATIONS
    )


@contextmanager
def script_without(name: str, removed: str, instead: str = "") -> Iterator[None]:
    """A script of the real ones in which a part is replaced."""
    text = getattr(scripts, name)
    changed = text.replace(removed, instead)
    assert changed != text, f"{name} has no {removed!r} any more"
    sha = scripts.sha_of(changed)
    with replaced(scripts, name, changed):
        scripts.BY_SHA[sha], scripts._SHA_OF[changed] = changed, sha
        try:
            yield
        finally:
            del scripts.BY_SHA[sha], scripts._SHA_OF[changed]


def code_without(owner: type, name: str, removed: str, instead: str) -> AbstractContextManager[None]:
    """A method of the real ones in which a part is replaced."""
    method = getattr(owner, name)
    text = textwrap.dedent(inspect.getsource(method))
    assert removed in text, f"{owner.__name__}.{name} has no {removed!r} any more"
    made: dict[str, Any] = {}
    exec(text.replace(removed, instead), method.__globals__, made)
    return replaced(owner, name, made[name])


def fill_without_compare() -> AbstractContextManager[None]:
    return script_without("FILL", "if r.err or r[1] ~= ARGV[1] then return 'invalidated' end")


def fill_over_newer() -> AbstractContextManager[None]:
    return script_without("FILL", "if ARGV[2] ~= '*' and (r[2] or '') ~= ARGV[2] then return 'newer' end")


@contextmanager
def memory_filled_a_turn_later() -> Iterator[None]:
    """As where a task takes the reply from the parser, and nobody counts changes."""
    arrived, one_arrived = Reader._arrived, Reader._one_arrived

    def later(
        self: Reader, shelf: Shelf[Any], asked: Sequence[Any], indices: Sequence[int], readings: Sequence[Any]
    ) -> None:
        unordered = [_unordered(each) for each in readings]
        asyncio.get_running_loop().call_soon(arrived, self, shelf, asked, indices, unordered)

    def one_later(self: Reader, shelf: Shelf[Any], flight: Flight[Any], reading: Any) -> None:  # noqa: ANN401
        asyncio.get_running_loop().call_soon(one_arrived, self, shelf, flight, _unordered(reading))

    with replaced(Reader, "_arrived", later), replaced(Reader, "_one_arrived", one_later):
        yield


def _unordered(reading: Any) -> Any:  # noqa: ANN401  whatever Redis said
    return msgspec.structs.replace(reading, order=sys.maxsize) if isinstance(reading, Reading) else reading


def generation_taken_after_the_load() -> AbstractContextManager[None]:
    prepared = Fills._prepared

    def late(self: Fills, entity: Entity[Any, Any], fill: Fill, tags: tuple[Held, ...]) -> Any:  # noqa: ANN401
        now = self._scopes.entity(entity.name).held or fill.reading.whole
        reading = msgspec.structs.replace(fill.reading, whole=now)
        return prepared(self, entity, msgspec.structs.replace(fill, reading=reading), tags)

    return replaced(Fills, "_prepared", late)


@contextmanager
def breaks_that_count_for_nothing() -> Iterator[None]:
    """Neither a broken link nor a lost subscription makes memory doubted."""
    with ExitStack() as stack:
        for name in ("distrust", "doubt"):
            stack.enter_context(replaced(Memory, name, _nothing))
        yield


@contextmanager
def absences_kept_in_any_case() -> Iterator[None]:
    def careless(real: Callable[..., object]) -> Callable[..., object]:
        def kept(  # noqa: PLR0917  as the real ones
            self: Landing,
            shelf: Shelf[Any],
            flight: Flight[Any],
            value: object,
            life: Life,
            encoded: int,
            told: Reading[Any] | Filled,
        ) -> object:
            if value is None:
                flight.alive, flight.epoch = True, self._trust.epoch
                told = msgspec.structs.replace(told, order=sys.maxsize)
            return real(self, shelf, flight, value, life, encoded, told)

        return kept

    with replaced(Landing, "keep", careless(Landing.keep)), replaced(Landing, "remember", careless(Landing.remember)):
        yield


def stamps_all_alike() -> AbstractContextManager[None]:
    return replaced(fills, "count", lambda: itertools.repeat(1))


def waiters_without_a_timer() -> AbstractContextManager[None]:
    leaves_it = Reader._leaves_it

    def for_good(self: Reader, tier: RedisTier, shelf: Any, flight: Any, reading: Reading[Any]) -> bool:  # noqa: ANN401
        return leaves_it(self, tier, shelf, flight, msgspec.structs.replace(reading, busy=1e9))

    return replaced(Reader, "_leaves_it", for_good)


def floors_that_nobody_heeds() -> AbstractContextManager[None]:
    return replaced(Loads, "_floor", lambda _loads, _pending: 0)


def loads_that_survive_a_delete() -> AbstractContextManager[None]:
    def entries_only(self: Shelf[Any], text: str | None, _before: float = 0) -> tuple[int, int]:
        if text is None:
            return self.forget()
        return (1, self.remove(text)) if text in self.entries else (0, 0)

    return replaced(Shelf, "drop", entries_only)


def outbox_deleted_before_it_is_applied() -> AbstractContextManager[None]:
    relay = World.relay

    async def hasty(self: World, worker: Worker, changes: Sequence[Change]) -> None:
        for change in changes:
            self.outbox.pop(change.xact, None)
        await relay(self, worker, changes)

    return replaced(world.World, "relay", hasty)


def values_that_can_be_changed() -> AbstractContextManager[None]:
    return replaced(operations, "change_shared", msgspec.structs.force_setattr)


def nothing_told_to_who_takes_over() -> AbstractContextManager[None]:
    return replaced(RedisTier, "repeated", lambda _self, _is_there: [])


def generations_learned_before_an_invalidation_came() -> AbstractContextManager[None]:
    """What is read between an unknown script and its second sending stays, if nothing is forgotten after the reply."""
    return code_without(Invalidations, "_forget", "self._scopes.bump(target.name)", "pass")


def invalidations_that_end_with_their_caller() -> AbstractContextManager[None]:
    return code_without(Invalidations, "_send", "asyncio.shield(sending)", "sending")


def values_judged_by_what_was_known_before() -> AbstractContextManager[None]:
    return code_without(FullRead, "_read", "not hold((whole,))", "False")


def overtaken_loads_of_ended_flights_given_out() -> AbstractContextManager[None]:
    return code_without(Loads, "_fill", "(flight.alive or overtaken)", "flight.alive")


def _nothing(_self: object) -> None:
    return None


WRITES = often(write=20, write_many=6, refresh=6)

PLANTS = (
    Plant(
        letter="a",
        history="load old, write, invalidate, fill old",
        remove=fill_without_compare,
        plan=Plan(without_redis=0, without_bus=1, operations=WRITES, faults=(), longest_pause=0.3),
        seen="the floor was",
    ),
    Plant(
        letter="b",
        history="reply old, write, push, memory put old",
        remove=memory_filled_a_turn_later,
        plan=Plan(
            without_redis=0,
            without_bus=1,
            operations=often(get=60, write=40, peek=30, refresh=0),
            faults=faults("hold"),
            faults_each=0.3,
            usual_pause=0.001,
        ),
        seen="",
        steps=200,
    ),
    Plant(
        letter="c",
        history="a refresh that loaded the older value lands after the newer one",
        remove=fill_over_newer,
        plan=Plan(
            without_redis=0,
            without_bus=1,
            operations=often(change_rows=20, refresh=30, write=0, write_many=0, peek=0),
            faults=(),
            longest_pause=0.1,
            slowest_load=0.1,
        ),
        seen="has replaced version",
    ),
    Plant(
        letter="d",
        history="all of an entity dies during a load",
        remove=generation_taken_after_the_load,
        plan=Plan(
            without_redis=0,
            without_bus=1,
            operations=often(write_many=15, get=60, write=0),
            faults=faults("slow source"),
            faults_each=0.1,
            longest_pause=0.5,
        ),
        seen="",
    ),
    Plant(
        letter="e",
        history="memory answers after the link died unseen",
        remove=breaks_that_count_for_nothing,
        plan=Plan(without_redis=0, operations=WRITES, faults=faults("cut off", "kill connections"), faults_each=0.1),
        seen="the floor was",
    ),
    Plant(
        letter="f",
        history="a lagging replica is read after the invalidation",
        remove=floors_that_nobody_heeds,
        plan=Plan(without_redis=0, operations=WRITES, faults=(), lagging=1),
        seen="the floor was",
    ),
    Plant(
        letter="g",
        history="'there is none' outlives the creation",
        remove=absences_kept_in_any_case,
        plan=Plan(without_redis=1, operations=WRITES, faults=faults("slow source"), absences=0.5),
        seen="the floor was",
    ),
    Plant(
        letter="h",
        history="two holders of one lease, the first fills late",
        remove=stamps_all_alike,
        plan=Plan(without_redis=0, operations=WRITES, faults=faults("slow source", "expire"), faults_each=0.1),
        seen="",
    ),
    Plant(
        letter="i",
        history="waiters hang when the holder dies",
        remove=waiters_without_a_timer,
        plan=Plan(without_redis=0, faults=faults("crash", "slow source"), faults_each=0.2),
        seen="after 90.0 s",
    ),
    Plant(
        letter="j",
        history="the process dies between commit and invalidation",
        remove=outbox_deleted_before_it_is_applied,
        plan=Plan(
            without_redis=0,
            without_bus=0,
            operations=often(change_rows=40, write=0, write_many=0, write_tagged=0, invalidate=0),
            faults=faults("freeze", "restart", "crash"),
            faults_each=0.2,
        ),
        seen="",
    ),
    Plant(
        letter="k",
        history="a failover brings the older value back",
        remove=nothing_told_to_who_takes_over,
        plan=Plan(without_redis=0, without_bus=0, operations=WRITES, faults=(FAIL_OVER,), faults_each=0.1),
        seen="the floor was",
    ),
    Plant(
        letter="l",
        history="a caller changes the object that all share",
        remove=values_that_can_be_changed,
        plan=Plan(operations=often(meddle=10), faults=()),
        seen="version=1000000",
    ),
    Plant(
        letter="m",
        history="deleted in the process while its own load runs",
        remove=loads_that_survive_a_delete,
        plan=Plan(without_redis=1, operations=WRITES, faults=()),
        seen="the floor was",
    ),
)

FOUND = (
    Plant(
        letter="script",
        history="Redis does not know the script of an invalidation, which so comes after a later read",
        remove=generations_learned_before_an_invalidation_came,
        plan=Plan(
            without_redis=0,
            operations=often(write_many=15, get=80, get_many=40, write=0, peek=0),
            faults=faults("forget scripts"),
            faults_each=1,
            usual_pause=0.0005,
            workers=2,
        ),
        seen="the floor was",
        steps=200,
    ),
    Plant(
        letter="left",
        history="who invalidates leaves; his worker's memory keeps the older value, of which it is told no more",
        remove=invalidations_that_end_with_their_caller,
        plan=Plan(without_redis=0, without_bus=1, operations=often(write_and_leave=20), faults=()),
        seen="the floor was",
    ),
    Plant(
        letter="whole",
        history="a value is judged by a generation of its entity of whose end Redis had told before it answered",
        remove=values_judged_by_what_was_known_before,
        plan=Plan(
            without_redis=0,
            without_bus=1,
            operations=often(write_many=20, get_many=80, get=40, write=0, peek=0),
            faults=faults("hold"),
            faults_each=0.3,
            absences=0,
            usual_pause=0.002,
        ),
        seen="",
        steps=200,
    ),
    Plant(
        letter="ended",
        history="a load, overtaken by two changes of which one was told, is given to who came after both",
        remove=overtaken_loads_of_ended_flights_given_out,
        plan=Plan(
            without_redis=0,
            without_bus=1,
            operations=often(write=30, refresh=15, peek=0),
            faults=faults("slow source"),
            longest_pause=0.5,
        ),
        seen="the floor was",
    ),
)
"""What the simulation found in the code, and shows again where its cure is taken out."""
