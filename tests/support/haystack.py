"""Everything that was said and kept somewhere, searched for what nobody may find there."""

import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
from redis.asyncio import Redis

LEAST = 12
"""Characters: less of a secret may stand somewhere by chance, or for people to tell keys apart."""


def spellings(secret: str) -> Iterator[bytes]:
    """The secret as somebody may have written it down: as it is, encoded, or a part that gives most of it away."""
    raw = secret.encode()
    yield raw
    yield raw[: max(LEAST, len(raw) * 2 // 3)]
    yield quote(secret, safe="").encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for offset in range(3):  # where it stands in something longer
        whole = base64.b64encode(b"\0" * offset + raw)
        inner = whole[4 if offset else 0 : len(whole) // 4 * 4 - 4]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


class Haystack:
    """`places`: what stands where."""

    def __init__(self) -> None:
        self.places: dict[str, bytes] = {}

    def add(self, place: str, said: str | bytes) -> None:
        data = said.encode("utf-8", "surrogateescape") if isinstance(said, str) else said
        self.places[place] = self.places.get(place, b"") + data + b"\n"

    def add_files(self, directory: Path, *, without: tuple[Path, ...] = ()) -> None:
        for path in directory.rglob("*"):
            if path.is_file() and not any(path.is_relative_to(each) for each in without):
                self.add(f"file {path.name}", path.read_bytes())

    async def add_database(self, connection: asyncpg.Connection) -> int:
        """Every row of every table, whoever owns it, as text; returns how many tables there were."""
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for table in tables:
            rows = await connection.fetch(f"SELECT t::text AS row FROM {table['name']} t")
            self.add(f"table {table['name']}", "\n".join(row["row"] for row in rows))
        return len(tables)

    async def add_redis(self, redis: Redis) -> int:
        """Every key and value of whatever type, as it is dumped and as it is read; returns how many keys there were."""
        count = 0
        async for key in redis.scan_iter(count=1000):
            count += 1
            self.add("keys of Redis", key)
            self.add(f"value of {key!r} in Redis", repr(await _value(redis, key)))
        return count

    def found(self, secrets: Mapping[str, str]) -> list[str]:
        """Which secret stands where; nothing of the secrets themselves."""
        return [
            f"{name} in {place}"
            for name, secret in secrets.items()
            for place, said in self.places.items()
            if any(len(each) >= LEAST and each in said for each in spellings(secret))
        ]


async def _value(redis: Redis, key: bytes) -> Any:  # noqa: ANN401  as it comes
    kind = await redis.type(key)
    reads: dict[bytes | str, Callable[[], Awaitable[Any]]] = {
        b"string": lambda: redis.get(key),
        b"hash": lambda: redis.hgetall(key),
        b"zset": lambda: redis.zrange(key, 0, -1, withscores=True),
        b"set": lambda: redis.smembers(key),
        b"list": lambda: redis.lrange(key, 0, -1),
        b"stream": lambda: redis.xrange(key),
    }
    return await reads[kind]() if kind in reads else None  # none: it has gone meanwhile
