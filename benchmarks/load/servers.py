"""The two servers that are compared, each on the server's core: the gateway and the bare application."""

import http.client
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from benchmarks.load.bare_app import RecordedAnswer
from benchmarks.load.driver import Address
from benchmarks.load.lab import GATEWAYZ, Installed
from benchmarks.load.process import DidNotStart, free_port, running, wait_until_answers
from benchmarks.machine import ROOT


class Server(Struct, frozen=True):
    """`workers` are the processes that answer; what stands beside them (supervisor, database) is not counted."""

    address: Address
    workers: tuple[psutil.Process, ...]

    def cpu_seconds(self) -> float:
        """User and system time of the workers so far, in steps of 10 ms."""
        times = [worker.cpu_times() for worker in self.workers]
        return sum(each.user + each.system for each in times)


@contextmanager
def gateway(installed: Installed, *, core: int | None = None, within: float = 60, workers: int = 1) -> Iterator[Server]:
    """`gatewayz serve`, once it is ready."""
    port, log = free_port(), installed.data_dir.with_suffix(".serve.log")
    command = [str(GATEWAYZ), "serve", "--port", str(port), "--workers", str(workers)]
    directory = installed.data_dir.parent
    with running(command, environment=installed.environment, directory=directory, log=log, core=core) as process:
        wait_until_answers(process, port, "/health/ready", log=log, within=within)
        yield Server(("127.0.0.1", port), workers_of(process))


@contextmanager
def bare(answers: Sequence[RecordedAnswer], place: Path, *, core: int) -> Iterator[Server]:
    """The bare application, sending `answers` in a cycle; they are all of one status."""
    file, log, port = place / "answer", place / "bare.log", free_port()
    file.write_bytes(msgspec.msgpack.encode(answers))
    command = [sys.executable, "-m", "benchmarks.load.bare_app", str(file), str(port)]
    with running(command, environment={}, directory=ROOT, log=log, core=core) as process:
        wait_until_answers(process, port, "/", log=log, within=20, status=answers[0].status)
        yield Server(("127.0.0.1", port), (psutil.Process(process.pid),))


def workers_of(process: subprocess.Popen[bytes]) -> tuple[psutil.Process, ...]:
    """The workers under a `gatewayz serve`."""
    workers = tuple(
        child
        for child in psutil.Process(process.pid).children()
        if any("multiprocessing.spawn" in argument for argument in child.cmdline())
    )
    if not workers:
        raise DidNotStart(f"process {process.pid} has no worker; does `gatewayz serve` still start them by spawning?")
    return workers


def fetch(address: Address, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> RecordedAnswer:
    """One answer as it is sent, still in its content coding; to a POST, if there is a body to send."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.putrequest("POST" if body else "GET", target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        said = response.read()
    finally:
        connection.close()
    sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.getheaders()]
    return RecordedAnswer(response.status, sent, said)
