"""What L1 takes: 1,000,000 gets of 100,000 distinct keys against the bound in bytes, by this process's resident memory.

Run: python -m benchmarks.micro.l1_memory            half a minute; Linux only
     python -m benchmarks.micro.l1_memory --gets 50000 --keys 10000 --bytes 8388608 --words 500

Keys are asked for in groups of 50, by Zipf's law with exponent 0.8. Exit code 1 where the bound was exceeded.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.hit_ratio.traces import zipf
from msgspec import Struct

from gatewayz.cache.cache import Cache
from gatewayz.cache.entity import Entity, Policy

_GROUP = 50


class Row(Struct, frozen=True):
    """Some twenty parts, as an offer of the catalog has, and a text of 0 to `Source.words` words."""

    key: str
    name: str
    text: str
    price: float
    numbers: tuple[int, ...]
    words: tuple[str, ...]


class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Source(Struct, frozen=True):
    words: int

    def row(self, key: str) -> Row:
        n = int(key)
        text = f"{n} " * (n % self.words)
        return Row(key, f"name {n}", text, n / 7, tuple(range(n, n + 6)), tuple(f"{n}-{i}" for i in range(5)))


async def load(source: Source, key: str) -> Row:
    return source.row(key)


async def load_many(source: Source, keys: Sequence[str]) -> dict[str, Row]:
    return {key: source.row(key) for key in keys}


ROWS = Entity(name="bench:rows", value=Row, load=load, load_many=load_many, policy=Policy(fresh=3600))


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cache(source: Source, max_bytes: int) -> Cache:
    clock, rng = SystemClock(), random.Random(1)
    return Cache([ROWS], source, clock=clock, rng=rng, max_entries=1_000_000, max_bytes=max_bytes)


def groups(gets: int, keys: int) -> Iterator[list[str]]:
    trace = zipf(keys, gets, 0.8, random.Random(1))
    while group := [str(key) for _, key in zip(range(_GROUP), trace, strict=False)]:
        yield group


async def grown(under_test: Cache, asked: Iterator[list[str]]) -> int:
    """The most by which resident memory grew, looked at 40 times a second or so."""
    await under_test.get_many(ROWS, next(asked))  # whatever is made only once, is made
    before = most = resident()
    for number, group in enumerate(asked):
        await under_test.get_many(ROWS, group)
        if number % 500 == 0:
            most = max(most, resident())
    return max(most, resident()) - before


async def allocated(under_test: Cache, asked: Iterator[list[str]]) -> int:
    """Bytes that the interpreter allocated for what the cache then holds."""
    tracemalloc.start()
    await under_test.get_many(ROWS, next(asked))
    before = tracemalloc.get_traced_memory()[0]
    for group in asked:
        await under_test.get_many(ROWS, group)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return after - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gets", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=64 * 1024 * 1024)
    parser.add_argument("--words", type=int, default=40)
    arguments = parser.parse_args()
    source = Source(arguments.words)
    under_test = cache(source, arguments.bytes)
    growth = asyncio.run(grown(under_test, groups(arguments.gets, arguments.keys)))
    stats = under_test.stats()
    counts = stats.entities[ROWS.name].counts
    mib = 1024 * 1024
    print(f"bound {arguments.bytes / mib:.1f} MiB, estimated {stats.bytes / mib:.1f}, resident grew {growth / mib:.1f}")
    print(f"{stats.entries:,} entries, {counts.evictions:,} evictions, {counts.hit_l1:,} hits")
    small = cache(source, min(arguments.bytes, 8 * mib))
    real = asyncio.run(allocated(small, groups(50_000, 10_000)))
    entries = small.stats().entries
    said = small.stats().bytes / entries
    print(f"{small.stats().entries:,} of them: {real / entries:,.0f} bytes an entry allocated, {said:,.0f} estimated")
    if growth > arguments.bytes:
        sys.exit("the bound was exceeded")


if __name__ == "__main__":
    main()
