"""How long `gatewayz sync` takes for 13,000 models, the first time and when nothing has changed."""

import asyncio
from collections.abc import Iterator

import asyncpg

from benchmarks.load.lab import Lab, sync
from benchmarks.options import Options, Tell
from benchmarks.result import Bar, Figure
from gatewayz.embedded.servers import embedded_servers

MODELS = 13_000
_WRITES = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::float8 FROM pg_stat_user_tables"


def run(lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    """The time of the whole command: start of Python, migration (the first time), ten lists, writes."""
    installed = lab.empty("sync", MODELS)
    with embedded_servers(installed.data_dir, postgres=True, redis=True) as servers:
        url = servers.database_url or ""
        tell(f"first sync of {MODELS:,} models")
        first = sync(installed)
        written = rows_written(url)
        unchanged = []
        for number in range(options.rounds):
            tell(f"unchanged sync of {MODELS:,} models, {number + 1} of {options.rounds}")
            unchanged.append(sync(installed))
        writes = rows_written(url) - written
    yield Figure(
        name=f"first sync of {first.written:,} models of 10 providers",
        unit="s",
        ours=first.seconds,
        bar=Bar.at_most(20, "s"),
    )
    yield Figure.of_rounds(
        f"sync of {unchanged[0].listed:,} models, unchanged",
        "s",
        [each.seconds for each in unchanged],
        Bar.at_most(3, "s"),
    )
    yield Figure(
        name=f"rows that {options.rounds} unchanged syncs write, as PostgreSQL counts them",
        unit="rows",
        ours=writes + sum(each.written for each in unchanged),
        bar=Bar.at_most(0, "rows"),
    )


def rows_written(database_url: str) -> float:
    """Rows inserted, updated and deleted so far in all tables, as the database's own statistics have it."""

    async def ask() -> float:
        connection = await asyncpg.connect(database_url)
        try:
            count: float = await connection.fetchval(_WRITES)
        finally:
            await connection.close()
        return count

    return asyncio.run(ask())
