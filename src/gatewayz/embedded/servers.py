"""The servers that the gateway brings along for whoever has none: PostgreSQL and Redis on unix sockets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import msgspec

from gatewayz.embedded.errors import directory_error
from gatewayz.embedded.places import prepare_places
from gatewayz.embedded.postgres import Postgres
from gatewayz.embedded.redis import Redis, find_redis
from gatewayz.embedded.sharing import shared
from gatewayz.embedded.sockets import make_socket_directory


class Servers(msgspec.Struct, frozen=True):
    """A URL is None where that server was not asked for or, of Redis, where no program for it is found.

    `redis_source` is the program Redis was started from; `started` names the servers that this start launched
    rather than found running.
    """

    database_url: str | None = None
    redis_url: str | None = None
    redis_source: str | None = None
    started: tuple[str, ...] = ()


@contextmanager
def embedded_servers(
    data_dir: Path, *, postgres: bool, redis: bool, redis_program: Callable[[], Path | None] = find_redis
) -> Iterator[Servers]:
    """Servers that keep their data in `data_dir` and run while anyone is in this context.

    Any number of processes may be in it for one `data_dir`; see sharing.py. Blocks for some 0.1 s, the first
    time for about 1 s. Raises EmbeddedError. A signal that ends the process without unwinding leaves the
    servers running, for the next one in to adopt and stop. `redis_program` finds the program of Redis.
    """
    if not postgres and not redis:
        yield Servers()
        return
    places = prepare_places(data_dir)
    with ExitStack() as stack:
        database = stack.enter_context(closing(Postgres(places)))
        program = redis_program()
        messenger = stack.enter_context(closing(Redis(places, program=program)))

        def arrive() -> Servers:
            try:
                make_socket_directory(places.sockets, places.account)
                return _arrive(database if postgres else None, messenger if redis else None, program)
            except OSError as problem:
                raise directory_error(Path(problem.filename or places.data), problem) from problem

        def last_out() -> None:
            for server in (messenger, database):
                server.begin_stop()
            for server in (messenger, database):
                server.finish_stop()
            with suppress(OSError):  # gone already, or with the remains of a server that was killed
                places.sockets.rmdir()

        with shared(places, arrive=arrive, last_out=last_out) as servers:
            yield servers


def _arrive(database: Postgres | None, messenger: Redis | None, program: Path | None) -> Servers:
    """Launch both, then wait for both."""
    started = []
    if messenger is not None and messenger.launch():
        started.append("redis")
    if messenger is not None and not messenger.is_running():
        messenger = None
    if database is not None and database.launch():
        started.append("postgres")
    if database is not None:
        database.wait_until_ready()
    if messenger is not None and "redis" in started:
        # One that was found running is not waited for: should it hang, everything goes on without it.
        messenger.wait_until_ready()
    return Servers(
        database_url=None if database is None else database.url,
        redis_url=None if messenger is None else messenger.url,
        redis_source=None if messenger is None else str(program or "already running"),
        started=tuple(started),
    )
