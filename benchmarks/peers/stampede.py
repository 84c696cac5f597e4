"""1,000 callers in each of 4 processes want one key that nobody has, whose load takes 100 ms."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from benchmarks.machine import ROOT
from benchmarks.options import Tell
from benchmarks.peers.rounds import figure
from benchmarks.peers.server import Server
from benchmarks.peers.stampede_worker import LIBRARIES
from benchmarks.result import Bar, Figure

PROCESSES = 4
CALLERS = 1000
HEAD_START = 0.3

Worker = subprocess.Popen[str]


async def run(server: Server, rounds: int, tell: Tell) -> list[Figure]:
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ("loads", "p50", "p99", "commands")}
    keys = (f"cold{n}" for n in count())
    for library in LIBRARIES:
        server.flush()
        with _workers(library, server) as workers:
            _stampede(workers, server, next(keys))  # connections and scripts
            for _ in range(rounds):
                loads, p50, p99, commands = _stampede(workers, server, next(keys))
                for name, value in (("loads", loads), ("p50", p50), ("p99", p99), ("commands", commands)):
                    found[name].setdefault(library, []).append(value)
        tell(f"stampede, {library}: done")
    return [
        figure("stampede: loads", "loads", found["loads"], bar=Bar.at_most(1, "load")),
        figure("stampede: wait, p50", "ms", found["p50"]),
        figure("stampede: wait, p99", "ms", found["p99"], bar=Bar.at_most(150, "ms")),
        figure("stampede: Redis commands per process", "commands", found["commands"], bar=Bar.at_most(20, "commands")),
    ]


@contextmanager
def _workers(library: str, server: Server) -> Iterator[list[Worker]]:
    command = [sys.executable, "-m", "benchmarks.peers.stampede_worker", library, str(server.port), str(CALLERS)]
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(PROCESSES)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _stampede(workers: list[Worker], server: Server, key: str) -> tuple[float, float, float, float]:
    """Loads in all, the slowest process's p50 and p99, commands for each process."""
    before = server.commands()
    moment = time.monotonic() + HEAD_START
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{key} {moment}\n")
        worker.stdin.flush()
    told = []
    for worker in workers:
        assert worker.stdout is not None
        told.append([float(word) for word in worker.stdout.readline().split()])
    commands = (server.commands() - before) / PROCESSES
    return sum(each[0] for each in told), max(each[1] for each in told), max(each[2] for each in told), commands
