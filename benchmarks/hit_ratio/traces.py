"""Made-up sequences of keys, the same for every policy and every run of one seed."""

import random
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate


def zipf(keys: int, reads: int, exponent: float, rng: random.Random) -> Iterator[int]:
    """Of `keys` keys, the n-th most popular is read in proportion to 1 / n ** exponent."""
    steps = list(accumulate(1 / n**exponent for n in range(1, keys + 1)))
    total = steps[-1]
    for _ in range(reads):
        yield min(bisect(steps, rng.random() * total), keys - 1)


def shifting(keys: int, reads: int, exponent: float, rng: random.Random, *, phases: int = 10) -> Iterator[int]:
    """Zipf whose popular keys change: in each phase the ranks have moved on by a hundredth of the keys."""
    for number, key in enumerate(zipf(keys, reads, exponent, rng)):
        phase = number * phases // reads
        yield (key + phase * keys // 100) % keys


def scanned(keys: int, reads: int, exponent: float, rng: random.Random, *, scan: int) -> Iterator[int]:
    """Zipf, and after each `4 * scan` reads a walk over `scan` keys that nobody reads again."""
    cold = keys
    for number, key in enumerate(zipf(keys, reads, exponent, rng), start=1):
        yield key
        if number % (4 * scan) == 0:
            yield from range(cold, cold + scan)
            cold += scan


def twice(keys: int, reads: int, exponent: float, rng: random.Random, *, apart: int) -> Iterator[int]:
    """Zipf, and between any two of its reads one of a key that is read twice, `apart` reads apart, and never again:
    what waits in a small queue is gone by then.
    """
    for number, key in enumerate(zipf(keys, reads // 2, exponent, rng)):
        yield key
        yield keys + (number // 2 if number % 2 == 0 else max(0, (number - apart // 2) // 2))
