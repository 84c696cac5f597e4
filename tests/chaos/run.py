"""One run: servers, a proxy and workers as processes of their own, faults from a seed, and the verdict."""

import asyncio
import random
import shutil
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import asyncpg
import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from gatewayz.app import ENTITIES as SCHEMA
from gatewayz.core.errors import GatewayzError
from gatewayz.embedded.places import prepare_places
from gatewayz.embedded.postgres import Postgres
from gatewayz.embedded.sockets import make_socket_directory
from gatewayz.storage import triggers
from gatewayz.storage.database import Database
from gatewayz.storage.migrate import migrate
from tests.chaos.checker import GRACE, Verdict, judge
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.history import Acknowledged, Log, Window, Writing, recorded
from tests.chaos.worker import HUNG_AFTER, Config
from tests.chaos.world import ENTITIES, KEYS, LENIENT_NAMES, ROWS, TABLES
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.servers import short_directory

WORKERS = 4
PSQL_PAUSE = 0.3
LOOK_AGAIN = 0.005
WARM = 2.0
READY_WITHIN = 60.0
ROOT = Path(__file__).parents[2]


class Plan(Struct, frozen=True):
    """The fault, how long it lasts, and how long nothing happens after it."""

    fault: Fault
    seconds: float
    calm: float


def short_plan(rng: random.Random) -> list[Plan]:
    """Each fault once."""
    return [_planned(fault, rng, longest=0.8, calm=0.5) for fault in rng.sample(FAULTS, len(FAULTS))]


def long_plan(rng: random.Random, seconds: float) -> Iterator[Plan]:
    """All faults in ever new orders until the time is over; some outages last longer than the heartbeat."""
    until = time.monotonic() + seconds
    while True:
        for fault in rng.sample(FAULTS, len(FAULTS)):
            if time.monotonic() >= until:
                return
            yield _planned(fault, rng, longest=4.0, calm=2.0)


def _planned(fault: Fault, rng: random.Random, *, longest: float, calm: float) -> Plan:
    after = GRACE + calm if fault.kind == "outage" else calm
    return Plan(fault, rng.uniform(0.2, longest), rng.uniform(after / 2, after))


class Fleet:
    """The processes of a run, as faults see them."""

    def __init__(  # noqa: PLR0917  the parts, as they are made
        self,
        directory: Path,
        redis: OwnRedis,
        postgres: Postgres,
        proxy: Process,
        rng: random.Random,
        seed: int,
        *,
        lies: bool,
    ) -> None:
        self.redis = redis
        self.postgres = postgres
        self.rng = rng
        self.deaths: list[str] = []
        self.starts: Counter[int] = Counter()
        self._directory = directory
        self._proxy = proxy
        self._seed = seed
        self._lies = lies
        self._doom = directory / "doom"
        self._processes: dict[int, Process] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._is_over = False

    @property
    def size(self) -> int:
        return WORKERS

    def admin(self) -> Redis:
        return Redis.from_url(self.redis.url)

    def pid(self, worker: int) -> int:
        return self._processes[worker].pid

    async def tell_proxy(self, line: str) -> None:
        assert self._proxy.stdin is not None
        assert self._proxy.stdout is not None
        self._proxy.stdin.write(f"{line}\n".encode())
        assert await self._proxy.stdout.readline() == b"ok\n"

    async def doom_a_leader(self) -> None:
        before = self.starts.total()
        self._doom.touch()
        async with asyncio.timeout(READY_WITHIN):
            while self.starts.total() == before:  # noqa: ASYNC110  a death, which is told by a new start
                await asyncio.sleep(LOOK_AGAIN)

    def log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    async def start(self) -> None:
        self._keeping = [asyncio.create_task(self._keep(number)) for number in range(WORKERS)]
        await self._until_all_read()

    async def end(self) -> None:
        """Ask them to end; whoever does not is killed, and told of."""
        await self._until_all_read()  # who has just been started does not listen to signals yet
        self._is_over = True
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        _, hanging = await asyncio.wait(self._keeping, timeout=HUNG_AFTER + 10)
        for number, task in enumerate(self._keeping):
            if task in hanging:
                self.deaths.append(f"worker {number} hung: it did not end when asked")
                self._processes[number].kill()
        await asyncio.gather(*self._keeping)

    async def _until_all_read(self) -> None:
        async with asyncio.timeout(READY_WITHIN):
            while not all(self._has_read(number) for number in range(WORKERS)):  # noqa: ASYNC110  processes write it
                await asyncio.sleep(LOOK_AGAIN)

    def _has_read(self, number: int) -> bool:
        path = self.log(f"w{number}.{self.starts[number]}")
        return path.exists() and path.stat().st_size > 0

    async def _keep(self, number: int) -> None:
        """Start the worker, again whenever it was killed. One that ends otherwise is a violation."""
        while not self._is_over:
            self.starts[number] += 1
            name = f"w{number}.{self.starts[number]}"
            config = Config(
                name=name,
                seed=self._seed * 1000 + number * 100 + self.starts[number],
                redis_url=f"unix://{self._directory}/p{number}",
                database_url=self.postgres.url,
                log=str(self.log(name)),
                doom=str(self._doom),
                lies=self._lies,
            )
            with (self._directory / f"{name}.out").open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.chaos.worker", msgspec.json.encode(config).decode()),
                    cwd=ROOT,
                    stdout=output,
                    stderr=output,
                )
            self._processes[number] = process
            code = await process.wait()
            said = (self._directory / f"{name}.out").read_text()
            if code not in (0, -9) or "Traceback" in said or "never retrieved" in said:
                self.deaths.append(f"worker {name} ended with {code} and said: {said[-3000:]}")


async def chaos(plans: Iterable[Plan], seed: int, *, lies: bool = False, keep: Path | None = None) -> Verdict:
    """Let the plans come true, one after the other, and judge. `lies`: see worker.py. `keep`: a new directory for what
    the processes wrote down.
    """
    with _servers() as (directory, redis, postgres):
        await _prepare(postgres.url)
        async with _proxy(directory, redis) as proxy, AsyncExitStack() as stack:
            fleet = Fleet(directory, redis, postgres, proxy, random.Random(seed), seed, lies=lies)
            log = Log(fleet.log("driver"))
            stack.callback(log.close)
            await fleet.start()
            database = Database(postgres.url, pool_size=2, connect_timeout=1, command_timeout=3)
            await database.open()
            stack.push_async_callback(database.close)
            by_hand = asyncio.create_task(_change_by_hand(database, log, random.Random(seed + 1)))
            try:
                await asyncio.sleep(WARM)
                done = await _happen(fleet, plans, log)
            finally:
                by_hand.cancel()
                with suppress(asyncio.CancelledError):
                    await by_hand
                await fleet.end()
            if keep is not None:
                shutil.copytree(directory, keep, ignore=lambda _, names: [n for n in names if not n.endswith(".log")])
            verdict = judge(recorded(directory.glob("*.log")), LENIENT_NAMES)
            faults = {f"fault: {name}": count for name, count in sorted(done.items())}
            counts = {**verdict.counts, "workers started": fleet.starts.total(), **faults}
            return Verdict([*fleet.deaths, *verdict.violations], counts)


async def _happen(fleet: Fleet, plans: Iterable[Plan], log: Log) -> Counter[str]:
    done: Counter[str] = Counter()
    for plan in plans:
        began = time.monotonic()
        await plan.fault.happen(fleet, plan.seconds)
        log.note(Window(plan.fault.kind, plan.fault.name, began, time.monotonic()))
        done[plan.fault.name] += 1
        await asyncio.sleep(plan.calm)
    await asyncio.sleep(GRACE)
    return done


@contextmanager
def _servers() -> Iterator[tuple[Path, OwnRedis, Postgres]]:
    with short_directory() as directory, own_redis() as redis:
        places = prepare_places(directory / "data")
        make_socket_directory(places.sockets, places.account)
        with closing(Postgres(places)) as postgres:
            postgres.launch()
            try:
                postgres.wait_until_ready()
                yield directory, redis, postgres
            finally:
                postgres.begin_stop()
                postgres.finish_stop()


@asynccontextmanager
async def _proxy(directory: Path, redis: OwnRedis) -> AsyncIterator[Process]:
    sockets = [str(directory / f"p{number}") for number in range(WORKERS)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.proxy", redis.url.removeprefix("unix://"), *sockets),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        await process.wait()


async def _prepare(url: str) -> None:
    await migrate(url, SCHEMA)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(TABLES)
        for table in ("chaos_told", "chaos_rows"):
            await connection.executemany(f"INSERT INTO {table} (key) VALUES ($1)", [(key,) for key in KEYS])
        await triggers.install(connection, ENTITIES)
    finally:
        await connection.close()


async def _change_by_hand(database: Database, log: Log, rng: random.Random) -> None:
    """As psql does: knowing nothing of caches. Some statements change several rows."""
    while True:
        with suppress(GatewayzError):  # the database is away: what was sent may have been written, which nobody claims
            await _change_rows(database, log, rng)
        await asyncio.sleep(rng.uniform(0, PSQL_PAUSE))


async def _change_rows(database: Database, log: Log, rng: random.Random) -> None:
    keys = sorted(rng.sample(KEYS, rng.choice([1, 1, 1, 3])))
    for key in keys:
        for entity in ROWS:
            log.note(Writing(entity.name, key, time.monotonic()))
    rows = await database.fetch(
        """UPDATE chaos_rows SET version = version + 1 WHERE key = ANY($1)
           RETURNING key, version, pg_current_xact_id()::text AS xact""",
        keys,
    )
    left = "SELECT EXISTS (SELECT FROM cache_outbox WHERE xact = $1::text::xid8)"
    while await database.fetch_value(left, rows[0]["xact"]):  # noqa: ASYNC110  what is awaited happens in the database
        await asyncio.sleep(LOOK_AGAIN)
    now = time.monotonic()
    for row in rows:
        for entity in ROWS:
            log.note(Acknowledged("psql", entity.name, row["key"], row["version"], now))
