"""The README's table, made from the committed results.

Run: python -m benchmarks.table            print it
     python -m benchmarks.table --all      also what carries no promise
     python -m benchmarks.table --write    put it between the README's markers
     python -m benchmarks.table --check    exit code 1 where the README says anything else
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.result import LATEST, Row, read_rows

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
_HEAD = ("| what | ours | beside | ratio | bar | met |", "|---|---:|---:|---:|---|:-:|")


class NoMarkers(Exception):
    """A document has no place for the table."""


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line for each row, then on which machine and commit they were measured."""
    return "\n".join([*_HEAD, *(_line(row) for row in rows), "", *_origins(rows)])


def with_table(document: str, made: str) -> str:
    """The document with `made` between its markers. Raises NoMarkers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise NoMarkers(f"there is no {BEGIN!r} followed by {END!r}; add both lines where the table belongs")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def _line(row: Row) -> str:
    beside = ", ".join(f"{name} {_number(value)}" for name, value in row.peers.items())
    cells = (
        row.name,
        f"{_number(row.ours)} {row.unit}",
        beside,
        "" if row.ratio is None else f"{row.ratio:.2f}",
        row.bar or "",
        {True: "yes", False: "**no**", None: ""}[row.met],
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _origins(rows: Sequence[Row]) -> Iterator[str]:
    for machine, commit in dict.fromkeys((row.machine, row.commit) for row in rows):
        yield f"Measured on {machine}, at commit {commit}."


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description="The README's table of results.")
    parser.add_argument("--results", type=Path, default=LATEST)
    parser.add_argument("--document", type=Path, default=ROOT / "README.md")
    parser.add_argument("--all", action="store_true", help="also rows without a bar")
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--write", action="store_true", help="put the table into the document")
    does.add_argument("--check", action="store_true", help="compare the document's table with the results")
    arguments = parser.parse_args()
    made = table([row for row in read_rows(arguments.results) if arguments.all or row.bar])
    if not (arguments.write or arguments.check):
        print(made)
        return
    document = arguments.document.read_text()
    try:
        wanted = with_table(document, made)
    except NoMarkers as problem:
        sys.exit(f"{arguments.document}: {problem}")
    if arguments.write:
        arguments.document.write_text(wanted)
    elif document != wanted:
        sys.exit(f"{arguments.document} is not made from {arguments.results}: run python -m benchmarks.table --write")


if __name__ == "__main__":
    main()
