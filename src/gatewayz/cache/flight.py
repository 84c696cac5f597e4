"""One load, many waiters. Each waiter has its own future, so that one who leaves harms nobody."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from gatewayz.cache.entity import BatchLoader, Entity
from gatewayz.cache.errors import LoadFailed, LoadLoop

V = TypeVar("V")


class Purpose(Enum):
    """READ takes what any tier has; LOOK only what Redis has; REFRESH replaces what is at hand, under a lease; FORCE
    loads in any case.
    """

    READ = "read"
    LOOK = "look"
    REFRESH = "refresh"
    FORCE = "force"


class Served(Enum):
    """How a read was answered, by the names of the counters."""

    HIT_L1 = "hit_l1"
    HIT_L2 = "hit_l2"
    MISS = "miss"
    STALE = "stale"
    STALE_L2 = "stale_l2"
    NEGATIVE = "negative"
    NEGATIVE_L2 = "negative_l2"
    BYPASS = "bypass"


READ: Final = Purpose.READ
FORCE: Final = Purpose.FORCE
REFRESH: Final = Purpose.REFRESH
HIT_L1: Final = Served.HIT_L1
HIT_L2: Final = Served.HIT_L2
NEGATIVE: Final = Served.NEGATIVE
NEGATIVE_L2: Final = Served.NEGATIVE_L2
"""Those that nearly every read looks at: to look up a member of an enum takes as long as a call, before Python 3.12."""


class Answer(Struct, Generic[V], frozen=True):
    """What a flight ends with. `again`: another worker loads; ask once more."""

    value: V | None = None
    served: Served = Served.MISS
    error: BaseException | None = None
    again: bool = False


_loading: "ContextVar[Sequence[Flight[Any]]]" = ContextVar("loading", default=())


def mark_loading(flights: "Sequence[Flight[Any]]") -> None:
    """Say in the current context that whatever runs in it loads for these flights."""
    _loading.set(flights)


class Flight(Struct, Generic[V], eq=False):
    """A read or load under way.

    What becomes of its result: `alive` ends with an invalidation: then it enters no tier. `apart`: nobody joins it any
    more, and its result does not enter memory. `changed`: the order of the last change of its key that Redis told of;
    what was read before that does not enter memory. `last`: what it loads is good enough for those who wait for it,
    whatever was invalidated meanwhile. While `is_held` it has looked nowhere yet, so that an invalidation does not
    concern it. `keeper`: the task that settles it in any case, if there is one. `brought`: what loads, by who asks.

    What Redis is told: `token`, unique, of its lease on the load. `awaited`: the token of the other worker's load.
    `seen`: the stamp of the value that it is to replace. `floor`: how far its source must have come. `wake`: set while
    another worker loads.
    """

    entity: Entity[Any, V]
    key: object
    text: str
    purpose: Purpose
    epoch: int
    token: bytes = b""
    awaited: bytes = b""
    seen: bytes = b""
    floor: int = 0
    alive: bool = True
    apart: bool = False
    last: bool = False
    is_held: bool = False
    changed: int = 0
    keeper: asyncio.Task[None] | None = None
    brought: BatchLoader[Any, V] | None = None
    wake: Callable[[], None] | None = None
    waits_until: float | None = None
    awaits: "tuple[Flight[Any], ...]" = ()
    _answer: Answer[V] | None = None
    _waiters: list[asyncio.Future[Answer[V]]] = []

    def change(self, order: int) -> None:
        """Redis told of a change of the key."""
        self.changed = order
        self.rouse()

    def rouse(self) -> None:
        """If it waits for another worker's load, let it look again soon."""
        if self.wake is not None:
            asyncio.get_running_loop().call_soon(self.wake)
            self.wake = None

    @property
    def load_many(self) -> BatchLoader[Any, V] | None:
        return self.brought or self.entity.load_many

    @property
    def settled(self) -> bool:
        return self._answer is not None

    def settle(self, answer: Answer[V]) -> None:
        """Answer all who wait, now and later. Only the first answer counts."""
        if self._answer is None:
            self._answer = answer
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(answer)

    def wait(self) -> Awaitable[Answer[V]]:
        """Raises LoadLoop, if this flight could only end after the loader that asks."""
        future: asyncio.Future[Answer[V]] = asyncio.get_running_loop().create_future()
        if self._answer is not None:
            future.set_result(self._answer)
            return future
        self._waiters.append(future)  # where it stays, if cancelled: it costs little, and nobody counts
        loading = _loading.get()
        return self._awaited_by(loading, future) if loading else future

    async def _awaited_by(
        self, loading: "Sequence[Flight[Any]]", future: "asyncio.Future[Answer[V]]"
    ) -> Answer[V]:  # fmt: skip
        askers = [asker for asker in loading if not asker.settled]  # else its load is over
        self._refuse_loop(askers)
        for asker in askers:
            asker.awaits += (self,)
        try:
            return await future
        finally:
            for asker in askers:
                at = asker.awaits.index(self)
                asker.awaits = asker.awaits[:at] + asker.awaits[at + 1 :]

    def failure(self, error: BaseException) -> LoadFailed:
        """A new exception for each caller: a shared one would grow a traceback by all of them."""
        failed = LoadFailed(self.entity.name, self.text)
        failed.__cause__ = error
        return failed

    def _refuse_loop(self, askers: "Sequence[Flight[Any]]") -> None:
        for flight in self._waited_for():
            for asker in askers:
                if flight is asker or (asker.entity is self.entity and asker.text == self.text):
                    raise LoadLoop(
                        f"the loader of {asker.entity.name!r} for key {asker.text!r} waits for its own "
                        f"result by asking for {self.entity.name!r}, key {self.text!r}: read the source instead",
                    )

    def _waited_for(self) -> "Iterator[Flight[Any]]":
        seen: list[Flight[Any]] = []
        ahead: list[Flight[Any]] = [self]
        while ahead:
            flight = ahead.pop()
            if not any(flight is each for each in seen):
                seen.append(flight)
                yield flight
                ahead.extend(flight.awaits)
