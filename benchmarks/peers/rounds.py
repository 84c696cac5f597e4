"""Rounds in which everybody takes a turn, so that what disturbs the machine disturbs all."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.result import Bar, Figure, Spread

OURS = "gatewayz"


def figure(
    name: str,
    unit: str,
    found: Mapping[str, Sequence[float]],
    *,
    first: str | None = None,
    bar: Bar | None = None,
    ours: str = OURS,
) -> Figure:
    """Of rounds by who was measured; less is better. `ratio` is to `first`, else to the best of the others."""
    medians = {who: median(rounds) for who, rounds in found.items()}
    mine = medians.pop(ours)
    others = {who: medians[who] for who in sorted(medians, key=lambda who: (who != first, medians[who]))}
    ratio = next(iter(others.values())) / mine if others and mine else None
    return Figure(
        name=name,
        unit=unit,
        ours=mine,
        peers=others,
        ratio=ratio,
        bar=bar,
        spread={("ours" if who == ours else who): Spread(min(each), max(each)) for who, each in found.items()},
    )


def percentile(sorted_values: Sequence[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
