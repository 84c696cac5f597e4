"""A server process that several of our processes may see, start and stop.

Whether it runs is told by a lock, not by a process id: ids are reused, and the dead leave their files behind.
The server inherits a locked file and so holds that lock for exactly as long as any process of it lives.
"""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gatewayz.embedded.errors import EmbeddedError, disk_full, server_error
from gatewayz.embedded.places import open_lock
from gatewayz.embedded.unprivileged import Account, Runner

_POLL_S = 0.01
_MAX_LOG_BYTES = 1 << 20
_TAIL_BYTES = 1 << 14
_FULL_BYTES = 1 << 20  # less is a full disk, which then has no room for the log that would say so
# The shell ends at once and leaves the server to init: nobody here has to reap it, and whoever stops it need
# not be who started it. (That it does not hear the terminal's Ctrl-C comes of the new session, see Runner.)
_IN_BACKGROUND = ("/bin/sh", "-c", 'exec "$@" >&2 & echo $!', "sh")


class ServerProcess:
    """One server. Every method wants the start lock of the data directory held (see sharing.py)."""

    def __init__(self, name: str, account: Account, *, lock: Path, log: Path, pid_file: Path) -> None:
        self._name = name
        self._lock = lock
        self._log = log
        self._pid_file = pid_file
        self._pid: int | None = None
        # Kept open, so that the server can be stopped even after somebody removed the data directory.
        self._probe = open_lock(lock, account)

    def close(self) -> None:
        """Forget the server, which runs on."""
        os.close(self._probe)

    def is_running(self) -> bool:
        try:
            fcntl.flock(self._probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._probe, fcntl.LOCK_UN)
        return False

    def run(self, runner: Runner, command: Sequence[str | Path], *, stdin: str = "") -> None:
        """Run a step of setting up to its end; until then the server counts as running.

        So where we are killed in the middle, the next start waits for the step to end before it starts over.
        """
        with self._held() as lock:
            done = runner.run(command, stdin=stdin, keep_fd=lock)
        if done.returncode != 0:
            raise self._error(f"could not be set up: {Path(command[0]).name!r} failed", done.stdout)

    def launch(self, runner: Runner, command: Sequence[str | Path]) -> None:
        """Start the server in the background, its output appended to its log."""
        if self._log.exists() and self._log.stat().st_size > _MAX_LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            runner.account.own(log)
            with self._held() as lock:
                done = runner.run([*_IN_BACKGROUND, *command], log=log, keep_fd=lock)
            # For where the pid file fails: removed by somebody, or empty because the disk is full.
            self._pid = int(done.stdout) if done.stdout else None
        finally:
            os.close(log)

    def settles(self, answers: Callable[[], bool], *, timeout: float) -> bool:
        """Wait until it answers (True) or ends (False).

        Raises NotReady (or DiskFull, by its log) after `timeout` seconds of neither.
        """
        deadline = time.monotonic() + timeout
        while not answers():
            if not self.is_running():
                return False
            if time.monotonic() > deadline:
                what = f"(process {self._read_pid()}) did not answer within {timeout:g} seconds"
                raise self._error(what, self._tail())
            time.sleep(_POLL_S)
        self._pid = self._pid or self._read_pid()
        return True

    def wait_until_it_answers(self, answers: Callable[[], bool], *, timeout: float) -> None:
        """Raises NotReady or DiskFull where it ends, or does not answer within `timeout` seconds."""
        if not self.settles(answers, timeout=timeout):
            raise self._error("ended while it started", self._tail())

    def ask_to_end(self, how: signal.Signals) -> bool:
        """Signal the server. False where it is too young to have told its process id."""
        pid = self._read_pid() or self._pid  # the file first: another user may have started it again since
        if pid is not None and self.is_running():
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        return pid is not None

    def end(self, how: signal.Signals, *, timeout: float) -> bool:
        """Signal the server and wait; whether it ended within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        asked = False
        while self.is_running():
            asked = asked or self.ask_to_end(how)
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    @contextmanager
    def _held(self) -> Iterator[int]:
        """The server's lock, in a file for children to inherit."""
        lock = os.open(self._lock, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _read_pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text().split("\n", 1)[0])
        except (OSError, ValueError):  # absent, of a directory closed to us, or not yet written
            return None

    def _error(self, what: str, output: str) -> EmbeddedError:
        if shutil.disk_usage(self._log.parent).free < _FULL_BYTES:
            return disk_full(self._log)
        return server_error(self._name, what, output=output, source=self._log)

    def _tail(self) -> str:
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
