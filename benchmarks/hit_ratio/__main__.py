"""Hit ratios on made-up traces, ours beside others. Run: python -m benchmarks.hit_ratio (see README.md)."""

import argparse
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.hit_ratio.policies import Make, ours, peers
from benchmarks.hit_ratio.traces import scanned, shifting, twice, zipf
from benchmarks.machine import commit, description
from benchmarks.result import LATEST, Figure, row, write_rows

SEED = 20_230_423
KEYS = 100_000
SIZES = (1_000, 10_000)

Trace = Callable[[int, int], Iterator[int]]
"""Of (reads, how many keys the policy has room for)."""

TRACES: Mapping[str, Trace] = {
    "Zipf 0.8": lambda reads, _: zipf(KEYS, reads, 0.8, random.Random(SEED)),
    "shifting Zipf 1.0": lambda reads, _: shifting(KEYS, reads, 1.0, random.Random(SEED)),
    "Zipf 0.8 and scans": lambda reads, size: scanned(KEYS, reads, 0.8, random.Random(SEED), scan=2 * size),
    "Zipf 1.0 and keys read twice": lambda reads, size: twice(KEYS, reads, 1.0, random.Random(SEED), apart=size // 2),
}


def hit_percent(policy: Make, size: int, trace: Iterator[int]) -> float:
    read = policy(size)
    hits = reads = 0
    for key in trace:
        hits += read(key)
        reads += 1
    return 100 * hits / reads


def figure(name: str, trace: Trace, size: int, reads: int) -> Figure:
    """`ratio` is to LRU."""
    found = {peer: hit_percent(policy, size, trace(reads, size)) for peer, policy in peers().items()}
    mine = hit_percent(ours, size, trace(reads, size))
    return Figure(name=f"{name}, room for {size:,}", unit="% hits", ours=mine, peers=found, ratio=mine / found["LRU"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hit_ratio", description=__doc__)
    parser.add_argument("--reads", type=int, default=300_000)
    parser.add_argument("--output", type=Path, default=LATEST.with_name("hit_ratio.json"))
    arguments = parser.parse_args()
    if "cachetools LRU" not in peers():
        print("left out: cachetools, which is not installed; README.md says how to have it")
    where, revision = description(), commit()
    rows = []
    for name, trace in TRACES.items():
        for size in SIZES:
            found = figure(name, trace, size, arguments.reads)
            rows.append(row(found, command="python -m benchmarks.hit_ratio", machine=where, commit=revision))
            beside = ", ".join(f"{peer} {value:.1f}" for peer, value in found.peers.items())
            print(f"{found.name}: {found.ours:.1f} {found.unit} ({beside})", flush=True)
    write_rows(arguments.output, rows)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
