"""Processes that a benchmark starts, and ends again whatever happens."""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import psutil

from benchmarks.machine import on_core

_STOP_WITHIN = 20.0


class DidNotStart(Exception):
    """A process ended, or did not answer in time. The message ends with what it printed."""


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Path, core: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process and its children, until the end of the block: asked to end, killed if they do not in 20 s.

    They run on `core`, on any core for None.
    """
    with log.open("wb") as output, nullcontext() if core is None else on_core(core):
        process = subprocess.Popen(
            command, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        _end(process)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def wait_until_answers(
    process: subprocess.Popen[bytes], port: int, path: str, *, log: Path, within: float, status: int = 200
) -> None:
    """Ask until the answer has this status. Raises DidNotStart."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and process.poll() is None:
        if _status(port, path) == status:
            return
        time.sleep(0.01)
    state = "does not answer" if process.poll() is None else f"ended with code {process.returncode}"
    raise DidNotStart(f"{process.args!r} {state}; it printed:\n{log.read_text()[-2000:]}")


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    children: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
