"""One measured row, as it stands in results/latest.json."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

LATEST = Path(__file__).parent / "results" / "latest.json"


class Bar(Struct, frozen=True):
    """What was promised: in words, and whether (ours, ratio) keeps it."""

    words: str
    is_met: Callable[[float, float | None], bool]

    @classmethod
    def share(cls, least: float, of: str) -> "Bar":
        return cls(f"≥ {least:.0%} of {of}", lambda _, ratio: ratio is not None and ratio >= least)

    @classmethod
    def at_most(cls, most: float, unit: str) -> "Bar":
        return cls(f"≤ {most:g} {unit}", lambda ours, _: ours <= most)


class Spread(Struct, frozen=True):
    """The least and the most over all rounds."""

    least: float
    most: float


class Figure(Struct, frozen=True, kw_only=True):
    """What a benchmark found. `ratio` is how we compare with the first peer: 1 is equal, more is better for us."""

    name: str
    unit: str
    ours: float
    peers: Mapping[str, float] = {}
    ratio: float | None = None
    bar: Bar | None = None
    spread: Mapping[str, Spread] = {}

    @classmethod
    def of_rounds(cls, name: str, unit: str, rounds: Sequence[float], bar: Bar | None = None) -> "Figure":
        """The median of what several rounds found."""
        spread = {"ours": Spread(min(rounds), max(rounds))}
        return cls(name=name, unit=unit, ours=median(rounds), bar=bar, spread=spread)


class Row(Struct, frozen=True, kw_only=True):
    """A figure with where it comes from. `met` is None where nothing was promised."""

    name: str
    unit: str
    ours: float
    peers: Mapping[str, float]
    ratio: float | None
    bar: str | None
    met: bool | None
    command: str
    machine: str
    commit: str
    spread: Mapping[str, Spread]


def row(figure: Figure, *, command: str, machine: str, commit: str) -> Row:
    bar = figure.bar
    return Row(
        name=figure.name,
        unit=figure.unit,
        ours=_rounded(figure.ours),
        peers={name: _rounded(value) for name, value in figure.peers.items()},
        ratio=None if figure.ratio is None else round(figure.ratio, 3),
        bar=bar.words if bar else None,
        met=bar.is_met(figure.ours, figure.ratio) if bar else None,
        command=command,
        machine=machine,
        commit=commit,
        spread={name: Spread(_rounded(spread.least), _rounded(spread.most)) for name, spread in figure.spread.items()},
    )


def read_rows(path: Path) -> list[Row]:
    """Empty where there is no such file."""
    return msgspec.json.decode(path.read_bytes(), type=list[Row]) if path.exists() else []


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")


def merged(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """The new rows, after those old ones that another command measured."""
    commands = {each.command for each in new}
    return [*(each for each in old if each.command not in commands), *new]


def _rounded(value: float) -> float:
    """Three figures are all that such a measurement is good for; whole where it is large."""
    return float(round(value)) if abs(value) >= 1000 else float(f"{value:.3g}")
