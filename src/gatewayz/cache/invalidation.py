"""What is dead, told to every tier of every worker."""

import asyncio
import contextvars
import functools
import math
import secrets
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gatewayz.cache.bus import Bus, Notice, RowsApplied, RowsChanged, RowsMissed
from gatewayz.cache.cascade import Cascade, Target
from gatewayz.cache.changing import Changing
from gatewayz.cache.clock import Clock
from gatewayz.cache.counts import Seconds
from gatewayz.cache.entity import ALL, Entity, Every
from gatewayz.cache.errors import BusDown
from gatewayz.cache.memory import Memory, Shelf, Shelves, Trust
from gatewayz.cache.redis_tier import RedisTier
from gatewayz.cache.scope import Scopes, tag_of

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
REPAIRED_AGAIN = 0.25  # what it concerns is not read in Redis before; a try that the breaker stops costs nothing
MOST_ANNOUNCED = 50  # a bus may take no more than 8,000 bytes at once


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """What an invalidation did. `entries` and `bytes`: what this worker's memory held of it; `shared`: how many
    values of single keys went from Redis. `everywhere`: Redis and every worker have confirmed. What could not be sent
    is repeated in the background, and until then this worker reads around Redis what it concerns; a worker that was
    told and did not confirm in time is not asked again.
    """

    entities: tuple[str, ...]
    entries: int
    bytes: int
    shared: int
    seconds: float
    everywhere: bool


class Invalidations:
    """Sends and receives. Order within a wave: Redis, own memory, the other workers; a wave ends before the
    next.
    """

    def __init__(  # noqa: PLR0917  the parts, as the cache has them
        self,
        shelves: Shelves,
        scopes: Scopes,
        memory: Memory,
        trust: Trust,
        tier: RedisTier | None,
        bus: Bus | None,
        shapes: str,
        clock: Clock,
    ) -> None:
        self._shelves = shelves
        self._scopes = scopes
        self._memory = memory
        self._trust = trust
        self._tier = tier
        self._bus = bus
        self._shapes = shapes
        self._clock = clock
        self._cascade = Cascade(shelves)
        fed = {entity: [ALL] for entity in shelves if entity.filled_from}
        self._fed_by_rows = frozenset(target.name for wave in self._cascade.levels(fed) for target in wave)
        self._me = secrets.token_hex(8)
        self._postponed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.confirmed_after = Seconds()
        self._sending: set[asyncio.Task[Cleared]] = set()
        self.changing = Changing(self._on_late)
        self.row_watchers: list[Callable[[], object]] = []
        self.hearers: list[Callable[[Shelf[Any], str | None], object]] = []

    async def start(self) -> None:
        """Return once subscribed, or once the first try has failed; then it goes on trying."""
        self._tasks.append(asyncio.create_task(self._keep_repairing(), name="cache invalidation repair"))
        if self._bus is not None:
            tried = asyncio.Event()
            listening = self._keep_listening(self._bus, tried)
            self._tasks.append(asyncio.create_task(listening, name="cache invalidation listener"))
            await tried.wait()

    async def close(self) -> None:
        self.changing.close()
        if self._sending:
            await asyncio.wait(set(self._sending))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        if self._bus is not None:
            await self._bus.close()

    async def kill(
        self,
        starts: Mapping[Entity[Any, Any], Iterable[Hashable | Every]],
        *,
        tags: Collection[str] = (),
        floor: int = 0,
    ) -> Cleared:
        """Who is cancelled here leaves the rest to happen: half an invalidation would be none."""
        return await self._send(self._cascade.levels(starts, tags), floor)

    async def age(self, entities: Iterable[Entity[Any, Any]], before: float) -> Cleared:
        """Kill what was created before that Unix time, and nothing that hangs on it: that has an age of its own."""
        return await self._send([[Target(entity.name, None, before) for entity in entities]], 0)

    async def _send(self, waves: Sequence[Sequence[Target]], floor: int) -> Cleared:
        sending = asyncio.get_running_loop().create_task(self._send_waves(waves, floor), context=contextvars.Context())
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        return await asyncio.shield(sending)

    async def _send_waves(self, waves: Sequence[Sequence[Target]], floor: int) -> Cleared:
        began = self._clock.monotonic()
        everywhere = True
        entries = size = shared = 0
        names: list[str] = []
        self._raise_floor(floor)
        for wave in waves:
            died = await self._tell_redis(wave, floor)
            dropped = self._forget(wave)
            heard = await self._tell_workers(wave, floor)
            everywhere = everywhere and heard and died is not None
            entries += dropped[0]
            size += dropped[1]
            shared += died or 0
            names.extend(target.name for target in wave)
        seconds = self._clock.monotonic() - began
        if everywhere:
            self.confirmed_after.observe(seconds)
        return Cleared(
            entities=tuple(dict.fromkeys(names)),
            entries=entries,
            bytes=size,
            shared=shared,
            seconds=seconds,
            everywhere=everywhere,
        )

    async def apply(self, changed: Mapping[str, Collection[str] | None], floor: int = 0) -> bool:
        """Tell Redis, this worker and then the others that rows behind these keys (None: any) have changed.

        False where that did not reach them all: whoever claimed the rows must keep them and repeat. Until Redis is
        told, the others are not either: each has heard of the commit itself and reads around Redis.
        """
        began = self._clock.monotonic()
        self._raise_floor(floor)
        for wave in self._cascade.levels(self._starts(changed)):
            if await self._send_to_redis(wave, floor) is None:
                return False
            self._forget(wave)
            if self._tier is not None and not await self._announce(wave, floor):
                return False
        self.confirmed_after.observe(self._clock.monotonic() - began)
        return True

    async def repair(self) -> bool:
        """Repeat what did not reach Redis or the other workers. True when nothing is left."""
        while self._trust.unsent:
            batch = dict(self._trust.unsent)
            announced = [target for target, unsent in batch.items() if unsent.announce]
            floor = max(unsent.floor for unsent in batch.values())
            if await self._send_to_redis(list(batch), floor) is None or not await self._announce(announced, floor):
                return False
            self._trust.unsent.sent(batch)
        return True

    async def _tell_redis(self, wave: Sequence[Target], floor: int) -> int | None:
        died = await self._send_to_redis(wave, floor)
        if died is None:
            self._postpone(wave, floor=floor)
        return died

    async def _send_to_redis(self, wave: Sequence[Target], floor: int = 0) -> int | None:
        if self._tier is None:
            return 0
        return await self._tier.invalidate(wave, lambda name: self._shelves.named[name].entity, floor)

    async def _tell_workers(self, wave: Sequence[Target], floor: int) -> bool:
        if self._bus is None:
            return True
        try:
            return await self._bus.publish(self._notice(wave, floor))
        except BusDown:
            self._postpone(wave, floor=floor)
            return False

    async def _announce(self, targets: Sequence[Target], floor: int) -> bool:
        if self._bus is not None and targets:
            try:
                for first in range(0, len(targets), MOST_ANNOUNCED):
                    await self._bus.publish(self._notice(targets[first : first + MOST_ANNOUNCED], floor))
            except BusDown:
                return False
        return True

    def _notice(self, wave: Sequence[Target], floor: int) -> str:
        told = self._tier.histories if self._tier is not None else ""
        return msgspec.json.encode(Notice(self._me, self._shapes, list(wave), floor, told)).decode()

    def _raise_floor(self, floor: int) -> None:
        self._trust.floor = max(self._trust.floor, floor)

    def _forget(self, wave: Sequence[Target], *, is_over: bool = True) -> tuple[int, int]:
        """Drop from memory, and call those who watch unless more is to come."""
        entries = size = 0
        if self._tier is not None:  # other workers' too: whoever is first to meet a server that took over tells it
            self._tier.recent.note(wave)
        for target in wave:
            if target.text is None:
                self._scopes.bump(target.name)
            for shelf in self._concerned(target):
                dropped = self._drop(shelf, target)
                entries += dropped[0]
                size += dropped[1]
                shelf.counts.invalidations += 1
                if tag_of(target.name) is None:
                    shelf.heard.note(target.text, self._clock.monotonic())
                for hearer in self.hearers:
                    hearer(shelf, target.text)
                if is_over:
                    self._call(shelf.watchers)
        return entries, size

    def _concerned(self, target: Target) -> list[Shelf[Any]]:
        if (tag := tag_of(target.name)) is not None:
            return list(self._shelves.carrying(tag))
        shelf = self._shelves.named.get(target.name)
        return [shelf] if shelf is not None else []

    @staticmethod
    def _drop(shelf: Shelf[Any], target: Target) -> tuple[int, int]:
        """What carries an invalidated tag stays until it is met."""
        if tag_of(target.name) is not None:
            shelf.part()
            return 0, 0
        return shelf.drop(target.text, target.before or math.inf)

    def _call(self, watchers: Iterable[Any]) -> None:
        """From the event loop, so that a watcher that raises is reported there and stops no invalidation."""
        for watcher in watchers:
            asyncio.get_running_loop().call_soon(watcher)

    def _postpone(self, wave: Iterable[Target], *, announce: bool = True, floor: int = 0) -> None:
        self._trust.unsent.add(wave, announce=announce, floor=floor)
        self._postponed.set()

    async def _keep_repairing(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._postponed.wait()
            self._postponed.clear()
            if await self.repair():
                pause = FIRST_PAUSE
                continue
            self._postponed.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, REPAIRED_AGAIN)

    async def _keep_listening(self, bus: Bus, tried: asyncio.Event) -> None:
        try:
            await self._listen(bus, tried)
        finally:
            tried.set()  # `start` waits for it, also where `close` comes before

    async def _listen(self, bus: Bus, tried: asyncio.Event) -> None:
        pause = FIRST_PAUSE
        while True:
            lost = asyncio.Event()
            try:
                await bus.listen(self._on_message, functools.partial(self._on_lost, lost))
            except BusDown:
                tried.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if not lost.is_set():
                self._on_subscribed()
            tried.set()
            await lost.wait()

    def _on_subscribed(self) -> None:
        self._memory.distrust()
        self._trust.live = True
        for shelf in self._shelves.values():
            self._call(shelf.watchers)

    def _on_lost(self, lost: asyncio.Event) -> None:
        if not lost.is_set():
            lost.set()
            self._trust.live = False
            self._trust.losses += 1
            self._memory.distrust()

    def _on_message(self, payload: str) -> None:
        try:
            message = msgspec.json.decode(payload, type=Notice | RowsChanged | RowsApplied | RowsMissed)
        except msgspec.MsgspecError:
            self._memory.distrust()  # it may have said that anything died
            return
        if isinstance(message, Notice):
            self._on_notice(message)
        elif isinstance(message, RowsChanged):
            self._on_changed(message)
        elif isinstance(message, RowsApplied):
            self.changing.end(message.xacts)
        else:
            self._memory.distrust(self._fed_by_rows)

    def _on_notice(self, notice: Notice) -> None:
        if notice.sender == self._me:
            return
        self._raise_floor(notice.floor)
        self._forget(notice.targets)
        if self._tier is not None and not self._has_told_ours(notice, self._tier):
            known = [target for target in notice.targets if self._concerned(target)]
            self._postpone(known, announce=False, floor=notice.floor)  # each worker like this one was told, and does so

    def _has_told_ours(self, notice: Notice, tier: RedisTier) -> bool:
        """Whether the sender told the servers that we read, and of keys that we read there. While a failover goes on,
        some workers are still at the primary of before. Who has had no link yet begins it with what was heard before.
        """
        ours = tier.histories
        is_told = notice.told == ours if ours else not tier.is_linked
        return notice.shapes == self._shapes and is_told

    def _on_changed(self, message: RowsChanged) -> None:
        """Drop at once. Where there is a Redis, the watchers are called when it has been told: nothing can be read
        anew before.
        """
        starts = self._starts({message.entity: message.keys})
        targets = [target for wave in self._cascade.levels(starts) for target in wave]
        self._forget(targets, is_over=self._tier is None)
        if self._tier is not None:
            self.changing.begin(message.xact, targets)
        self._call(self.row_watchers)

    def _on_late(self, targets: Collection[Target]) -> None:
        """Nobody confirmed that Redis was told: tell it from here, and read nothing there before."""
        self._postpone(targets, announce=False)
        for name in {target.name for target in targets}:
            self._call(self._shelves.named[name].watchers)

    def _starts(self, changed: Mapping[str, Collection[str] | None]) -> dict[Entity[Any, Any], Iterable[Hashable]]:
        return {
            shelf.entity: [ALL] if keys is None else keys
            for name, keys in changed.items()
            if (shelf := self._shelves.named.get(name)) is not None
        }
