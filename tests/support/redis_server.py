"""A Redis on a port of the loopback, of any version, that a test may cut off, freeze or kill."""

import asyncio
import itertools
import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.support.redis_programs import RedisProgram

READY_WITHIN = 60.0
_LOOK_AGAIN = 0.01
_BUS_OFFSET = 10_000  # the port on which servers of a cluster talk to each other
_PORTS = itertools.cycle(random.sample(range(10_000, 20_000), k=10_000))


class RedisServer:
    """`settings` come after those that every server of a test has; `watches` makes it a Sentinel with these lines."""

    def __init__(
        self, program: RedisProgram, directory: Path, settings: Mapping[str, str | int], *, watches: str = ""
    ) -> None:  # fmt: skip
        self.port = free_port()
        self._program = program
        self._directory = directory / str(self.port)
        self._settings = settings
        self._watches = watches
        self._process: subprocess.Popen[bytes] | None = None
        self.admin = Redis(host="127.0.0.1", port=self.port, socket_timeout=READY_WITHIN)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def is_running(self) -> bool:
        return self._process is not None

    async def start(self) -> None:
        self._directory.mkdir(exist_ok=True)
        settings = {"port": self.port, "bind": "127.0.0.1", "save": "", "dir": self._directory, **self._settings}
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        if self._watches:
            lines = f"port {self.port}\nbind 127.0.0.1\ndir {self._directory}\n{self._watches}"
            (self._directory / "sentinel.conf").write_text(lines)
            words = [str(self._directory / "sentinel.conf"), "--sentinel"]
        self._launch(words)
        await self.until_it_answers()

    async def ask(self, *command: str | int | bytes) -> Any:  # noqa: ANN401  whatever Redis says
        return await self.admin.execute_command(*command)  # type: ignore[no-untyped-call]

    async def watched(self, service: str) -> dict[str, Any]:
        """What this Sentinel knows of the service."""
        state: Any = await self.admin.sentinel_master(service)
        return dict(state)

    async def cut_off(self) -> None:
        """What is written here from now on reaches no replica: freeze those before."""
        await self.ask("CLIENT", "KILL", "TYPE", "replica")

    def _launch(self, words: Sequence[str]) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program.path, *words], stdout=log, stderr=log, env=self._program.environment
            )

    async def until_it_answers(self) -> None:
        async with asyncio.timeout(READY_WITHIN):
            while not await self._answers():  # what is awaited happens in another process
                assert self._process is None or self._process.poll() is None, (self._directory / "log").read_text()
                await asyncio.sleep(_LOOK_AGAIN)

    async def _answers(self) -> bool:
        try:
            await self.admin.ping()
        except (RedisError, OSError):
            return False
        return True

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def close(self) -> None:
        self.kill()
        await self.admin.aclose()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def free_port() -> int:
    """A port that nobody listens on, nor at the one for the cluster's own talk. A process gives out each once, and none
    is of those that the system gives to connections, so that nobody takes it before the server does.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + _BUS_OFFSET))
            except OSError:
                continue
            return port
