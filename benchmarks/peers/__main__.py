"""The cache engine beside other libraries. Run: make peers (see README.md)."""

import argparse
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import uvloop

from benchmarks.machine import commit, description
from benchmarks.options import Tell
from benchmarks.peers import frozen, lag, memory, redis_hit, stampede
from benchmarks.peers.server import Server, server
from benchmarks.result import LATEST, Figure, Row, merged, read_rows, row, write_rows

PEERS = ("aiocache", "cachetools", "cashews", "dogpile.cache", "redis", "valkey-glide")

CASES: Mapping[str, Callable[[Server, int, Tell], Awaitable[list[Figure]]]] = {
    "memory": memory.run,
    "redis": redis_hit.run,
    "stampede": stampede.run,
    "lag": lag.run,
    "frozen": frozen.run,
}


async def measured(names: list[str], rounds: int) -> dict[str, list[Figure]]:
    with server() as redis:
        return {name: await CASES[name](redis, rounds, _tell) for name in names}


def table(rows: Sequence[Row]) -> str:
    """In Markdown, the smallest figure of each row in bold."""
    lines = ["| | gatewayz | beside it | bar |", "|---|---:|---|---|"]
    for each in rows:
        least = min(each.ours, *each.peers.values()) if each.peers else None
        ours, *beside = (
            f"{name} **{value:,g}**".strip() if value == least else f"{name} {value:,g}".strip()
            for name, value in (("", each.ours), *each.peers.items())
        )
        met = "" if each.met is None else f"{each.bar}: {'met' if each.met else '**missed**'}"
        lines.append(f"| {each.name}, {each.unit} | {ours} | {'; '.join(beside)} | {met} |")
    return "\n".join(lines)


def _tell(words: str) -> None:
    print(words, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--only", choices=CASES, action="append", help="one case; may be given again")
    parser.add_argument("--quick", action="store_true", help="one round, prints, writes nothing")
    parser.add_argument("--table", action="store_true", help="measure nothing, print what the file holds as Markdown")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=LATEST.with_name("peers.json"))
    arguments = parser.parse_args()
    if arguments.table:
        print(table(read_rows(arguments.output)))
        return
    logging.disable()  # what peers log of a frozen Redis fills screens
    machine, revision = f"{description()}; {', '.join(f'{name} {version(name)}' for name in PEERS)}", commit()
    found = uvloop.run(measured(arguments.only or list(CASES), 1 if arguments.quick else arguments.rounds))
    rows = [
        row(figure, command=f"python -m benchmarks.peers --only {name}", machine=machine, commit=revision)
        for name, figures in found.items()
        for figure in figures
    ]
    for each in rows:
        met = "" if each.met is None else f" [{each.bar}: {'met' if each.met else 'MISSED'}]"
        beside = ", ".join(f"{name} {value:g}" for name, value in each.peers.items())
        print(f"{each.name}: {each.ours:g} {each.unit}{met} ({beside})", flush=True)
    if not arguments.quick:
        write_rows(arguments.output, merged(read_rows(arguments.output), rows))
        print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
