"""The worker processes of `gatewayz serve`: started, watched, replaced, and drained when a stop is asked for."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait

import structlog

from gatewayz.api.config import DrainConfig
from gatewayz.cli.worker_process import LEAVE, LEAVE_AT_ONCE, LEAVING, run_worker
from gatewayz.core.errors import GatewayzError

log = structlog.get_logger("gatewayz.supervisor")

# Seconds without a sign from a worker's event loop until it counts as hung.
_HUNG_AFTER = 30.0
# Seconds from one start of a worker to the next in its place: one that dies at once must not take a core.
_START_AGAIN_AFTER = 1.0
# Seconds that workers may take, beyond the drain's limit, to settle what was used.
_CLOSED_WITHIN = 15.0
_LOOK_AGAIN = 1.0
# The exit code of a worker that could not start: another would fare no better.
_DID_NOT_START = 3


class Supervisor:
    """`listener`: whose connections the workers share. It is closed by `run`."""

    def __init__(self, listener: socket.socket, *, workers: int, drain: DrainConfig) -> None:
        self._listener = listener
        self._size = workers
        self._drain = drain
        self._workers: list[_Process] = []
        self._leaving: list[_Process] = []
        self._asked = 0

    def run(self) -> None:
        """Blocks until SIGINT or SIGTERM, then until the workers have let what runs come to its end; a second signal
        ends that. Raises GatewayzError where no worker can start.
        """
        with self._woken_by_signals() as woken:
            self._workers = [_Process(self._listener) for _ in range(self._size)]
            try:
                while not self._asked:
                    self._listen(woken, _LOOK_AGAIN)
                    self._replace()
            finally:
                self._listener.close()
                self._end(woken)

    @contextmanager
    def _woken_by_signals(self) -> Iterator[int]:
        """The end of a pipe at which signals show."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)

        def ask(_number: int, _frame: object) -> None:
            self._asked += 1
            with suppress(BlockingIOError):
                os.write(wake, b"!")

        before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield woken
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
            os.close(woken)
            os.close(wake)

    def _listen(self, woken: int, seconds: float) -> None:
        """Until a signal, a word from a worker, or its death."""
        heard = {each.heard: each for each in (*self._workers, *self._leaving) if not each.is_silent}
        for spoke in wait([woken, *heard], timeout=seconds):
            if spoke == woken:
                os.read(woken, 64)
            else:
                heard[spoke].hear()  # type: ignore[index]  # what was waited for

    def _replace(self) -> None:
        now = time.monotonic()
        self._leaving = [each for each in self._leaving if each.is_alive]
        for place, worker in enumerate(self._workers):
            if worker.is_alive and worker.is_leaving:
                log.info("worker_leaves", pid=worker.pid)
                self._leaving.append(worker)
            elif worker.is_alive and worker.quiet_for < _HUNG_AFTER:
                continue
            elif worker.is_alive:
                log.error("worker_hung", pid=worker.pid, seconds=round(worker.quiet_for))
                worker.kill()
            elif worker.exit_code == _DID_NOT_START:
                raise GatewayzError("a worker could not start; its log says why")
            elif now - worker.started < _START_AGAIN_AFTER:
                continue
            else:
                log.warning("worker_died", pid=worker.pid, exit_code=worker.exit_code)
            self._workers[place] = _Process(self._listener)

    def _end(self, woken: int) -> None:
        asked = max(1, self._asked)
        self._leaving += self._workers
        self._workers = []
        until = time.monotonic() + self._drain.limit + _CLOSED_WITHIN
        for worker in self._leaving:
            worker.send(LEAVE)
        while self._leaving:
            self._listen(woken, 0.1)
            if self._asked > asked:
                asked = self._asked
                for worker in self._leaving:
                    worker.send(LEAVE_AT_ONCE)
            if time.monotonic() > until:
                for worker in self._leaving:
                    log.error("worker_killed", pid=worker.pid)
                    worker.kill()
            self._leaving = [each for each in self._leaving if each.is_alive]


class _Process:
    """One worker, as its supervisor sees it."""

    def __init__(self, listener: socket.socket) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.heard, told = spawn.Pipe(duplex=False)
        self._process = spawn.Process(target=run_worker, args=(listener, told), name="worker")
        self._process.start()
        told.close()
        self.started = time.monotonic()
        self.is_leaving = False
        self.is_silent = False
        """It has closed its end: it is dead, or nearly."""
        self._last = self.started

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    @property
    def quiet_for(self) -> float:
        return time.monotonic() - self._last

    def hear(self) -> None:
        said = os.read(self.heard.fileno(), 4096)
        self.is_silent = not said
        self.is_leaving = self.is_leaving or LEAVING in said
        self._last = time.monotonic()
        if self.is_silent:
            self._process.join(timeout=1.0)

    def send(self, number: int) -> None:
        if self.pid is not None and self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
