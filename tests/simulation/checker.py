"""What must hold of a history, and of every worker after it."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from gatewayz.cache.codec import opened
from gatewayz.cache.entity import Entity
from gatewayz.cache.wire.standing import ASK_STANDING
from gatewayz.cache.wire.wire import Wire
from tests.simulation.source import ENTITIES, KEYS, Row, Table, table_of
from tests.support.l1_check import checked_memory

if TYPE_CHECKING:
    from tests.simulation.world import Worker, World

ENDS_WITHIN = 60.0
"""Virtual seconds: twice a slow load behind two leases, and every budget between."""
LOADS_WITHIN = 10.0
"""Virtual seconds that a load takes at most; a failure is told when the last of the keys loaded with it is there."""
TOLD_UNTROUBLED_WITHIN = 0.2
TOLD_WITHIN = 2.5
"""Virtual seconds until Redis has told a worker of a change, or its heartbeat has missed it."""
LENIENT_AGAIN_AFTER = 12.0
"""Virtual seconds after a trouble: the longest pause of the breaker, of the wire and of the repair, and a heartbeat."""

_decode = msgspec.msgpack.Decoder(Row).decode


class Checker:
    """`violations` says in words what no history may show."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.confirmed = {(table.name, key): 0 for table in world.tables.values() for key in KEYS}
        self._confirmations: deque[tuple[float, str, str, int]] = deque()
        self._history: list[tuple[float, tuple[str, str], int]] = []
        self._filled: dict[bytes, tuple[bytes, int]] = {}
        self.violations: list[str] = []
        self.reads = 0
        self.excused = 0

    def confirm(self, table: str, key: str, version: int) -> None:
        """An invalidation of this version was acknowledged everywhere."""
        self._history.append((self._world.loop.time(), (table, key), version))
        if self._world.has_bus:
            self.confirmed[table, key] = max(self.confirmed[table, key], version)
        else:
            self._confirmations.append((self._world.loop.time(), table, key, version))

    def floor(self, worker: "Worker", entity: Entity[Any, Any], key: str) -> int:
        """G1: the version that a read which begins now must show at least. A worker whose subscription was lost
        without its knowing is bound, until it notices, to what was confirmed before. Where Redis alone tells the others
        of a change, they are bound when that has had its time to arrive.
        """
        self._let_arrive()
        which = table_of(entity), key
        if not worker.cache._trust.live:  # nobody tells it: who joins a load has what that read when it began
            return self._confirmed_by(self._world.loop.time() - LOADS_WITHIN, which)
        known = self.confirmed if worker.bus.deaf_since is None else worker.known_when_deaf
        return known[which]

    def _confirmed_by(self, time: float, which: tuple[str, str]) -> int:
        return max((version for at, each, version in self._history if at <= time and each == which), default=0)

    def _let_arrive(self) -> None:
        world, waiting = self._world, self._confirmations
        within = TOLD_WITHIN if world.trouble_until else TOLD_UNTROUBLED_WITHIN
        while waiting and waiting[0][0] < world.loop.time() - within:
            _, table, key, version = waiting.popleft()
            self.confirmed[table, key] = max(self.confirmed[table, key], version)

    def filled(self, key: bytes, generation: bytes, expected: bytes, envelope: bytes) -> None:
        """Redis has taken a value. Only who replaces whatever stands there may put an older one in a newer one's place;
        nobody else, as he has seen what he replaces before he loaded.
        """
        payload = opened(envelope).payload
        before = self._filled.pop(key, None)
        if payload is None:
            return
        version = _decode(payload).version
        if before is not None and before[0] == generation and version < before[1] and expected != b"*":
            self.fail(f"version {version} of {key.decode()} has replaced version {before[1]} in Redis")
        self._filled[key] = generation, version

    def read(  # noqa: PLR0917  one read, as it was
        self, worker: "Worker", entity: Entity[Any, Any], key: str, floor: int, began: float, row: Row | None
    ) -> None:
        self.reads += 1
        table = self._world.tables[table_of(entity)]
        newest = table.versions[key]
        if self._is_shown(table, key, row, floor, newest):
            return
        if entity.policy.stale and began < self._world.trouble_until:
            self.excused += 1  # it may be served while it cannot be asked whether it still holds
            return
        self.fail(f"{worker.name} read {row} of {entity.name} {key!r}: the floor was {floor}, the newest is {newest}")

    def left(self, what: str, began: float) -> None:
        """G5: every caller comes back."""
        took = self._world.loop.time() - began
        if took > ENDS_WITHIN:
            self.fail(f"{what} took {took:.1f} s")

    def fail(self, what: str) -> None:
        self.violations.append(f"{self._world.loop.time():.4f} {what}")

    @staticmethod
    def _is_shown(table: Table, key: str, row: Row | None, floor: int, newest: int) -> bool:
        if row is None:
            return any(table.row_at(key, version) is None for version in range(floor, newest + 1))
        return floor <= row.version <= newest and table.row_at(key, row.version) == row

    async def converged(self, workers: "list[Worker]") -> None:
        """With nothing going on any more, every worker shows what the source has."""
        for worker in workers:
            for entity in ENTITIES:
                for key in KEYS:
                    truth = self._world.tables[table_of(entity)].row(key)
                    at_hand = worker.cache.peek(entity, key)
                    if at_hand is not None and at_hand != truth:
                        self.fail(f"{worker.name} keeps {at_hand} of {entity.name} for ever: the source has {truth}")
                    row = await worker.cache.get(entity, key)
                    if row != truth:
                        self.fail(f"{worker.name} reads {row} of {entity.name} {key!r} for ever: the truth is {truth}")

    def validate(self, worker: "Worker") -> None:
        """The engine at rest."""
        for what in unrest(worker):
            self.fail(f"{worker.name} at rest still has {what}")
        try:
            checked_memory(worker.cache)
        except AssertionError as error:
            self.fail(f"{worker.name}: its memory is out of order: {error}")


def unrest(worker: "Worker") -> Iterator[str]:
    cache = worker.cache
    for shelf in cache._shelves.values():
        if shelf.flights:
            yield f"flights of {shelf.entity.name}: {list(shelf.flights)}"
    if cache._reader._waiting:
        yield f"{len(cache._reader._waiting)} waiting flights"
    if cache._reader._tasks:
        yield f"{len(cache._reader._tasks)} tasks"
    if cache._invalidations.changing.now:
        yield "changes under way"
    if cache._trust.unsent:
        yield f"unsent invalidations: {list(cache._trust.unsent)}"
    if cache._tier is not None:
        yield from unrest_of_wires([wire for node in cache._tier._nodes.known() for wire in (node.main, node.bulk)])


def unrest_of_wires(wires: Sequence[Wire]) -> Iterator[str]:
    for wire in wires:
        link = wire._link
        under_way = list(link._under_way) if link is not None else []
        if link is not None and link.commands != sum(exchange.expects for exchange in under_way):
            yield f"{link.commands} commands counted on {wire._name}, {len(under_way)} exchanges under way"
        if any(not exchange.future.done() and exchange.commands != [ASK_STANDING] for exchange in under_way):
            yield f"exchanges under way on {wire._name}"
        if wire._parked:
            yield f"{len(wire._parked)} parked exchanges on {wire._name}"
