"""What it costs to notice changed rows: time from a change by hand to the last of four caches, and bulk changes.

    python -m benchmarks.micro.row_changes

Starts servers of its own in a temporary directory and prints medians.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from tests.support.fleet import fleet, psql
from tests.support.gateway import install, settings_for
from tests.support.servers import embedded_for_tests, fresh_database, short_directory

from gatewayz.accounts.repository import API_KEY
from gatewayz.app import Parts
from gatewayz.core.ids import KeyDigest
from gatewayz.settings import Settings

WORKERS = 4
CHANGES = 300
ROWS = 13_000
PROVIDERS = 60
REPEATS = 7

_FILL = f"""
INSERT INTO providers (slug, name, source) SELECT 'p' || n, 'P', 'live' FROM generate_series(1, {PROVIDERS}) AS n;
INSERT INTO models (provider, native_id, public_id, name, description, content_hash, supported_parameters)
SELECT 'p' || (n % {PROVIDERS} + 1), 'm' || n, 'a/m' || n, 'M', repeat('words ', 40), '\\x00', '{{tools,json}}'
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO pricing (model_id, prompt, completion) SELECT id, 0.000001, 0.000002 FROM models ON CONFLICT DO NOTHING;
"""
_BULK = {
    "models: one column": "UPDATE models SET name = name || '!'",
    "models: nothing shown": "UPDATE models SET updated_at = now()",
    "pricing: all prices": "UPDATE pricing SET prompt = prompt * 1.01",
    "models: delete all": "DELETE FROM models",
}


async def lag(settings: Settings) -> list[float]:
    """Milliseconds from sending an UPDATE of a key to the moment at which the last worker's memory lacks it."""
    async with fleet(settings, WORKERS) as workers, psql(settings) as db:
        digest = KeyDigest(await db.fetchval("SELECT digest FROM api_keys"))
        return [await _one(workers, db, digest, number) for number in range(CHANGES)]


async def _one(workers: list[Parts], db: asyncpg.Connection, digest: KeyDigest, number: int) -> float:
    for each in workers:
        await each.cache.get(API_KEY, digest)
    began = time.perf_counter()
    await db.execute("UPDATE api_keys SET scopes = ARRAY['inference', $1::text]", str(number))
    while any(each.cache.peek(API_KEY, digest) for each in workers):  # noqa: ASYNC110  the moment is what is measured
        await asyncio.sleep(0)
    dropped = time.perf_counter() - began
    for each in workers:
        principal = await each.cache.get(API_KEY, digest)
        assert principal is not None
        assert principal.scopes[1] == str(number), "an older value was read after the change was heard of"
    return 1000 * dropped


async def bulk(settings: Settings) -> dict[str, tuple[float, float, int]]:
    """Per statement: milliseconds without triggers, with them, and the outbox rows it wrote."""
    async with psql(settings) as db:
        await db.execute(_FILL)
        await db.execute("VACUUM ANALYZE")
        found = {}
        for name, sql in _BULK.items():
            without, with_them = [], []
            rows = 0
            for _ in range(REPEATS):
                without.append(await _timed(db, sql, triggers=False))
                with_them.append(await _timed(db, sql, triggers=True))
                rows = await db.fetchval(
                    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM cache_outbox_id_seq"
                )
            found[name] = statistics.median(without), statistics.median(with_them), rows
        return found


async def _timed(db: asyncpg.Connection, sql: str, *, triggers: bool) -> float:
    """The statement and its commit point's work, rolled back; `cache_outbox_id_seq` counts from 1 for it."""
    await db.execute("ALTER SEQUENCE cache_outbox_id_seq RESTART")
    transaction = db.transaction()
    await transaction.start()
    try:
        if not triggers:
            for table in ("providers", "models", "pricing", "unique_models", "unique_model_offers"):
                await db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        began = time.perf_counter()
        await db.execute(sql)
        return 1000 * (time.perf_counter() - began)
    finally:
        await transaction.rollback()


@asynccontextmanager
async def installed() -> AsyncIterator[Settings]:
    with short_directory() as directory, embedded_for_tests(directory) as servers:
        async with fresh_database(servers) as url:
            settings = settings_for(servers, url, directory)
            await install(settings)
            yield settings


async def main() -> None:
    async with installed() as settings:
        times = sorted(await lag(settings))
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
        print(
            f"UPDATE by hand to the last of {WORKERS} caches: p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {times[-1]:.2f}"
        )
        for name, (without, with_them, rows) in (await bulk(settings)).items():
            ratio = with_them / without
            print(f"{name:24} {without:7.1f} ms, with triggers {with_them:7.1f} ms ({ratio:.2f}x), outbox rows {rows}")


if __name__ == "__main__":
    asyncio.run(main())
