"""Workers, one Redis, one bus, one database, and all that goes wrong: decided by one seed."""

import asyncio
import bisect
import gc
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
from msgspec import Struct

from gatewayz.cache import fills, invalidation, reader, scripts
from gatewayz.cache.bus import RowsApplied, RowsChanged
from gatewayz.cache.cache import Cache
from gatewayz.cache.errors import LoadFailed
from tests.simulation.bus import Hub, SimBus
from tests.simulation.checker import LENIENT_AGAIN_AFTER, LOADS_WITHIN, Checker
from tests.simulation.faults import FAULTS, Fault
from tests.simulation.loop import SimClock, SimLoop, Stuck
from tests.simulation.network import Connection, Network
from tests.simulation.operations import OPERATIONS, Operation
from tests.simulation.redis import RedisServer
from tests.simulation.source import ENTITIES, STORED, Source, Table

RELAY_EVERY = 0.3
SETTLES_WITHIN = 90.0
MOST_TURNS = 200_000


class Plan(Struct, frozen=True, kw_only=True):
    """What a run is like. `workers`: how many at most. `without_redis` and `without_bus`: the parts of runs that have
    only the other one. `absences`: the part of writes that leave no row. `lag`: seconds by which the
    replica that loaders read may be behind, in the part of runs that are `lagging`.
    """

    operations: tuple[Operation, ...] = OPERATIONS
    faults: tuple[Fault, ...] = FAULTS
    workers: int = 3
    without_redis: float = 0.15
    without_bus: float = 0.25
    faults_each: float = 0.06
    absences: float = 0.2
    usual_pause: float = 0.004
    longest_pause: float = 3.0
    skew: float = 0.2
    lagging: float = 0.0
    lag: float = 0.05
    slowest_load: float = 0.01


class Change(Struct, frozen=True):
    """A row of the outbox."""

    xact: str
    table: str
    key: str
    version: int
    position: int


class Outcome(Struct, frozen=True):
    seed: int
    steps: int
    turns: int
    reads: int
    excused: int
    violations: list[str]
    trace: list[str]


class Worker:
    """One process. It `is_dead` after a crash: nothing leaves it any more, and nothing reaches it."""

    def __init__(self, world: "World", name: str) -> None:
        self._world = world
        self.name = name
        self.is_dead = False
        self.known_when_deaf: dict[tuple[str, str], int] = {}
        self.bus = SimBus(world.hub, self._remember)
        self.source = Source(world)
        self.callers: dict[asyncio.Task[object], None] = {}
        skew = world.rng.uniform(-world.plan.skew, world.plan.skew)
        self.cache = self.source.cache = Cache(
            ENTITIES,
            self.source,
            clock=SimClock(world.loop, skew),
            rng=random.Random(world.rng.random()),
            redis=world.network.dial(self) if world.has_redis else None,
            bus=self.bus if world.has_bus else None,
        )
        self._starting = world.background(self.cache.start())

    def __str__(self) -> str:
        return self.name

    def crash(self) -> None:
        self.is_dead = self.source.is_dead = True
        self.bus.vanish()
        self._world.network.unreachable.add(self)
        for connection in self._world.network.of(self):
            connection.vanish()
        for caller in (self._starting, *self.callers):
            caller.cancel()
        self._world.background(self.cache.close())

    def _remember(self) -> None:
        self.known_when_deaf = dict(self._world.checker.confirmed)


class World:
    """`trouble_until`: up to then a worker may have been unable to ask Redis."""

    def __init__(self, seed: int, plan: Plan, *, verbose: bool = False) -> None:
        self.plan = plan
        self.rng = random.Random(seed)
        self.loop = SimLoop()  # type: ignore[abstract]  # what the cache does not use is not there
        self.tables = {entity.name: Table(entity.name) for entity in STORED}
        self.checker = Checker(self)
        self.server = RedisServer(lambda: 1_800_000_000.0 + self.loop.time())
        self.network = Network(self.loop, self.rng, self.server)
        self.hub = Hub(self.loop, self.rng)
        missing = self.rng.random()
        self.has_redis = missing >= plan.without_redis
        self.has_bus = not self.has_redis or missing < 1 - plan.without_bus
        self.loads: list[tuple[str, str]] = []
        self.outbox: dict[str, Change] = {}
        self.source_is_failing = False
        self.source_failed_until = -1.0
        self.slowest_load = plan.slowest_load
        self.lag = plan.lag if self.has_redis and self.rng.random() < plan.lagging else 0.0
        self.trouble_until = 0.0
        self.held_until = 0.0
        self._commits: list[float] = []
        self.trace: list[str] | None = [] if verbose else None
        self.network.on_command = self._heard
        self._scripts = _scripts_by_name()
        self.workers: list[Worker] = []
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._endings: dict[asyncio.TimerHandle, Callable[[], object]] = {}
        self._named = 0
        self._steps = 0

    def say(self, what: str, said: object = "") -> None:
        if self.trace is not None:
            self.trace.append(f"{self.loop.time():9.4f} {what} {said}")

    def _heard(self, connection: Connection, command: list[Any], reply: object) -> None:
        """Between Redis and a worker."""
        name = self._scripts.get(command[1]) if len(command) > 1 else None
        if name == "FILL" and reply == b"filled":
            self.checker.filled(command[3], command[4], command[5], command[7])
        if self.trace is None:
            return
        shown = [f"{name} {command[3].decode()}", command[4:]] if name is not None else command
        self.say(f"    Redis, {connection.worker}:", f"{shown} → {reply!r}")

    def load_delay(self) -> float:
        usual = self.plan.slowest_load
        return self.rng.random() * (self.slowest_load if self.rng.random() < 0.3 else usual)

    def readable(self, required: int) -> tuple[float, int]:
        """As of when a loader reads, and how many commits are in that: a replica that lags, or the primary where the
        replica has not come as far as is required.
        """
        at = self.loop.time() - self.lag
        position = bisect.bisect_right(self._commits, at)
        return (at, position) if position >= required else (self.loop.time(), len(self._commits))

    def commit(self, table: str, key: str) -> Change:
        """Changes the row and notes it in the outbox, in one transaction, of which the database tells all who listen.
        Where there is a Redis, the relay is enough, so that the news may be missing.
        """
        self._commits.append(self.loop.time())
        version = self.tables[table].write(key, self.loop.time(), absent=self.rng.random() < self.plan.absences)
        self._named += 1
        change = Change(f"x{self._named}", table, key, version, len(self._commits))
        self.outbox[change.xact] = change
        if not self.has_redis or self.rng.random() < 0.5:
            self.hub.tell(msgspec.json.encode(RowsChanged(change.xact, table, [key])).decode())
        return change

    def confirm(self, change: Change) -> None:
        self.outbox.pop(change.xact, None)
        self.hub.tell(msgspec.json.encode(RowsApplied([change.xact])).decode())
        self.checker.confirm(change.table, change.key, change.version)

    def load_failed(self, worker: Worker, began: float, error: LoadFailed) -> object:
        """A loader may fail a read only while the source failed."""
        if not worker.is_dead and began > self.source_failed_until + LOADS_WITHIN:
            self.checker.fail(f"{worker.name} could not load: {error} ({error.__cause__!r})")
        return error

    def background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._over)
        return task

    def at_end(self, after: float, end: Callable[[], object]) -> None:
        """Ends a fault then, or when all are ended."""

        def strike() -> None:
            del self._endings[timer]
            end()

        timer = self.loop.call_later(after, strike)
        self._endings[timer] = end

    def start_worker(self) -> None:
        self._named += 1
        self.workers.append(Worker(self, f"w{self._named}"))

    def run(self, steps: int) -> list[str]:
        """What went wrong, in words."""
        try:
            self.loop.run_until_complete(self._history(steps), most_turns=MOST_TURNS, until=100_000)
        except Stuck as stuck:
            self.checker.fail(f"it hangs: {stuck}")
        for failure in self.loop.failures:
            self.checker.fail(f"nobody answered for: {failure}")
        return self.checker.violations

    async def _history(self, steps: int) -> None:
        for _ in range(self.rng.randint(2, self.plan.workers)):
            self.start_worker()
        relay = self.loop.create_task(self._relay())
        faults = self._faults_of_this_run()
        operations = self.plan.operations
        weights = [operation.weight for operation in operations]
        for _ in range(steps):
            if faults and self.rng.random() < self.plan.faults_each:
                self._begin(*self.rng.choices(faults, [fault.weight for fault in faults]))
            self._call(*self.rng.choices(operations, weights))
            await asyncio.sleep(self._pause())
        await self._settle()
        await self.checker.converged(self.workers)
        await asyncio.sleep(1)
        for worker in self.workers:
            self.checker.validate(worker)
        relay.cancel()
        await self._close()

    def _faults_of_this_run(self) -> list[Fault]:
        """None, some, or all: what only few faults lead to would drown in many. Without a bus, a value that was loaded
        while Redis did not answer is in memory and nobody tells of its change: so it must answer.
        """
        faults = [fault for fault in self.plan.faults if self.has_bus or not fault.needs_bus]
        if len(faults) < 4:
            return faults
        return self.rng.sample(faults, self.rng.choice([0, 3, len(faults)]))

    def _begin(self, fault: Fault) -> None:
        lasts = fault.begin(self)
        if fault.hides:
            self.trouble_until = max(self.trouble_until, self.loop.time() + lasts + LENIENT_AGAIN_AFTER)
        self.say("FAULT", f"{fault.name} for {lasts:.3f}")

    def _call(self, operation: Operation) -> None:
        worker = self.rng.choice(self.workers)
        task = self._caller(self._called(operation, worker), worker)
        if operation.is_left:
            self.loop.call_later(self.rng.expovariate(1 / self.rng.choice([0.0005, 0.005, 0.05])), task.cancel)

    def _caller(self, work: Coroutine[Any, Any, Any], worker: Worker) -> asyncio.Task[Any]:
        """One that goes when its worker goes."""
        task = self.background(work)
        worker.callers[task] = None
        task.add_done_callback(worker.callers.pop)
        return task

    async def _called(self, operation: Operation, worker: Worker) -> None:
        began, said = self.loop.time(), "left"
        self.say(f"{worker.name} {operation.name} …")
        try:
            said = str(await operation.run(self, worker))
        except asyncio.CancelledError:
            if not operation.is_left and not worker.is_dead:
                self.checker.fail(f"{worker.name} {operation.name} was cancelled though nobody had asked for it")
        finally:
            if not worker.is_dead:
                self.checker.left(f"{worker.name} {operation.name}", began)
            self.say(f"{worker.name} {operation.name} since {began:.4f}:", said)

    def _pause(self) -> float:
        if self.rng.random() < 0.03:
            return self.rng.random() * self.plan.longest_pause
        return self.rng.expovariate(1 / self.plan.usual_pause) if self.rng.random() < 0.7 else 0.0

    async def _relay(self) -> None:
        """Applies what writers left, over any worker that lives."""
        while True:
            await asyncio.sleep(RELAY_EVERY * self.rng.random())
            changes = list(self.outbox.values())
            if changes:
                worker = self.rng.choice(self.workers)
                await asyncio.wait([self._caller(self.relay(worker, changes), worker)])

    async def relay(self, worker: Worker, changes: Sequence[Change]) -> None:
        names = {change.table: {each.key for each in changes if each.table == change.table} for change in changes}
        try:
            async with asyncio.timeout(2.0):
                is_applied = await worker.cache.apply(
                    {name: sorted(keys) for name, keys in names.items()}, max(change.position for change in changes)
                )
        except TimeoutError:
            return
        if is_applied and not worker.is_dead:
            self.say("relayed", changes)
            for change in changes:
                if self.has_redis:
                    self.confirm(change)
                else:
                    self.outbox.pop(change.xact, None)  # each has heard of it from the database

    async def _settle(self) -> None:
        """All faults end, all callers come back, and what is owed is paid."""
        for timer, end in list(self._endings.items()):
            timer.cancel()
            end()
        self._endings.clear()
        self.say("everything is well again")
        deadline = self.loop.time() + SETTLES_WITHIN
        while self._tasks or self.outbox or any(worker.cache._trust.unsent for worker in self.workers):
            if self.loop.time() > deadline:
                self.checker.fail(f"after {SETTLES_WITHIN} s: {list(self._tasks)}, outbox {list(self.outbox)}")
                return
            await asyncio.sleep(0.5)
        await asyncio.sleep(LENIENT_AGAIN_AFTER)

    async def _close(self) -> None:
        for worker in self.workers:
            await worker.cache.close()
        await asyncio.sleep(10)
        if left := self.loop.timers():
            self.checker.fail(f"timers are left: {left[:5]}")
        if tasks := [task for task in asyncio.all_tasks(self.loop) if task is not asyncio.current_task(self.loop)]:
            self.checker.fail(f"tasks are left: {tasks[:5]}")

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.checker.fail(f"a caller saw {error!r}")


def _scripts_by_name() -> dict[bytes, str]:
    """What the scripts of now are called, by text and by SHA1."""
    return {
        key: name
        for name, text in vars(scripts).items()
        if isinstance(text, str) and text in scripts._SHA_OF
        for key in (text.encode(), scripts._SHA_OF[text].encode())
    }


class Secrets:
    """Random bytes that follow from the seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def token_bytes(self, length: int) -> bytes:
        return self._rng.randbytes(length)

    def token_hex(self, length: int) -> str:
        return self._rng.randbytes(length).hex()


@contextmanager
def random_from(secrets: Secrets) -> Iterator[None]:
    """Have the cache's own random bytes come from there. Garbage is looked for only afterwards: when that happens is no
    part of the seed, and tags that nobody knows any more go with it.
    """
    with ExitStack() as stack:
        if gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        for module in (fills, invalidation, reader):
            stack.enter_context(replaced(module, "secrets", secrets))
        yield


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def simulated(seed: int, steps: int, plan: Plan | None = None, *, verbose: bool = False) -> Outcome:
    """One run."""
    world = World(seed, plan or Plan(), verbose=verbose)
    secrets = Secrets(random.Random(seed))
    with random_from(secrets):
        violations = world.run(steps)
    return Outcome(
        seed, steps, world.loop.turns, world.checker.reads, world.checker.excused, violations, world.trace or []
    )
