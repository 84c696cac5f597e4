"""How long a second start takes, and what memory an idle worker holds."""

import time
from collections.abc import Iterator

from benchmarks.load.lab import Installed, Lab
from benchmarks.load.servers import Server, gateway
from benchmarks.options import Options, Tell
from benchmarks.result import Bar, Figure

MODELS = 13_000
_SETTLED_SECONDS = 3.0


def run(lab: Lab, options: Options, tell: Tell) -> Iterator[Figure]:
    """Twice: as installed with the offline catalog, and with 13,000 models."""
    tell("first start")
    fresh = lab.empty("start")
    began = time.monotonic()
    with gateway(fresh):
        yield Figure(name="first start until ready, offline catalog", unit="s", ours=time.monotonic() - began)
    tell(f"filling a catalog of {MODELS:,} models")
    for name, installed in (("offline catalog", fresh), (f"{MODELS:,} models", lab.filled(MODELS))):
        yield from _second_starts(name, installed, options, tell)


def _second_starts(name: str, installed: Installed, options: Options, tell: Tell) -> Iterator[Figure]:
    seconds, memory = [], []
    for number in range(options.rounds):
        tell(f"second start, {name}, {number + 1} of {options.rounds}")
        began = time.monotonic()
        with gateway(installed) as server:
            seconds.append(time.monotonic() - began)
            memory.append(memory_once_settled(server))
    yield Figure.of_rounds(f"second start until ready, {name}", "s", seconds, Bar.at_most(3, "s"))
    resident, proportional = ([each[which] for each in memory] for which in (0, 1))
    yield Figure.of_rounds(f"an idle worker's RSS, {name}", "MB", resident, Bar.at_most(120, "MB"))
    yield Figure.of_rounds(f"an idle worker's PSS, {name}", "MB", proportional)


def memory_once_settled(server: Server) -> tuple[float, float]:
    """Resident and proportional set size of the worker in MB (10⁶ bytes), three seconds after its start."""
    time.sleep(_SETTLED_SECONDS)
    full = server.workers[0].memory_full_info()
    return full.rss / 1e6, full.pss / 1e6
