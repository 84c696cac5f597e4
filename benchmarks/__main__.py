"""Run every benchmark, or those named: `python -m benchmarks --help`."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.load import (
    beside_litellm,
    catalog_routes,
    failover,
    kept_answers,
    made_up_keys,
    revocation,
    start_time,
    sync_time,
)
from benchmarks.load.lab import Lab, laboratory
from benchmarks.machine import commit, description
from benchmarks.micro import admission
from benchmarks.options import QUICK, Options, Tell
from benchmarks.result import LATEST, Figure, Row, merged, read_rows, row, write_rows

Benchmark = Callable[[Lab, Options, Tell], Iterator[Figure]]

BENCHMARKS: Mapping[str, Benchmark] = {
    "catalog": catalog_routes.run,
    "sync": sync_time.run,
    "start": start_time.run,
    "revocation": revocation.run,
    "made_up_keys": made_up_keys.run,
    "kept_answers": kept_answers.run,
    "admission": admission.run,
    "failover": failover.run,
}
# Only by name: needs what `make peers-litellm` installs.
APART: Mapping[str, Benchmark] = {"litellm": beside_litellm.run}
_ALL = {**BENCHMARKS, **APART}
_LONGEST = 20 * 60


def main() -> None:
    arguments = _arguments()
    output = arguments.output or (None if arguments.quick else LATEST)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done within {_LONGEST} s"))
    signal.alarm(_LONGEST)
    measured = commit()  # now: others may commit while this runs
    rows: list[Row] = []
    with laboratory() as lab:
        for name in arguments.only or BENCHMARKS:
            rows += _measured(name, lab, QUICK if arguments.quick else Options(), measured)
    if output is not None:
        write_rows(output, merged(read_rows(output), rows))
        print(f"wrote {output}")
    if missed := [each.name for each in rows if each.met is False]:
        print(f"{len(missed)} bars missed: {'; '.join(missed)}")


def _measured(name: str, lab: Lab, options: Options, revision: str) -> Iterator[Row]:
    """The rows of one benchmark, each printed as it is found."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"[{name} {time.monotonic() - began:4.0f} s] {what} …", file=sys.stderr, flush=True)

    where = description()
    for figure in _ALL[name](lab, options, tell):
        found = row(figure, command=f"python -m benchmarks --only {name}", machine=where, commit=revision)
        print(_line(found), flush=True)
        yield found


def _line(found: Row) -> str:
    peers = ", ".join(f"{name} {value:,g}" for name, value in found.peers.items())
    ratio = "" if found.ratio is None else f"  ratio {found.ratio:.2f}"
    bar = "" if found.bar is None else f"  {found.bar}: {'met' if found.met else 'MISSED'}"
    return f"{found.name}: {found.ours:,g} {found.unit}{f' ({peers})' if peers else ''}{ratio}{bar}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure gatewayz beside others.")
    parser.add_argument(
        "--only", action="append", choices=[*BENCHMARKS, *APART], help="this benchmark; may be given again"
    )
    parser.add_argument("--quick", action="store_true", help="fewer, shorter rounds; prints and writes no file")
    parser.add_argument("--output", type=Path, help=f"the file to write [default: {LATEST.name} in results/]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
