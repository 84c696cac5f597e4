"""A Redis that one test may freeze or kill."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.redis_programs import RedisProgram, any_redis_program, redis_program


class OwnRedis:
    def __init__(self, program: RedisProgram, directory: Path) -> None:
        self._socket = directory / "redis.sock"
        self._command = [str(program.path), "--port", "0", "--unixsocket", str(self._socket), "--save", ""]
        self._environment = program.environment
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Returns when it answers."""
        process = subprocess.Popen(
            self._command, cwd=self._directory, stdout=subprocess.PIPE, text=True, env=self._environment
        )
        self._process = process
        assert process.stdout is not None
        for line in process.stdout:
            if "eady to accept connections" in line:
                return
        raise AssertionError("redis-server did not start")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def own_redis(version: str | None = None) -> Iterator[OwnRedis]:
    """`version` is one of `VERSIONS`; without it, whichever is found."""
    program = any_redis_program() if version is None else redis_program(version)
    with tempfile.TemporaryDirectory(prefix="gwz-", dir="/tmp") as directory:
        server = OwnRedis(program, Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.kill()
