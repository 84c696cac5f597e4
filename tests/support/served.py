"""A real `gatewayz serve` as a person starts it: its own process, its own servers, a free port."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_READY = re.compile(r"is ready on (http://\S+)")
_WITHIN = 60.0


class Served:
    """`printed` is all that came on standard error so far, `url` where it answers. `settings`: as `GATEWAYZ_` names."""

    def __init__(self, data_dir: Path, name: str = "serve", **settings: str) -> None:
        self.data_dir = data_dir
        self._log = data_dir.parent / f"{name}.log"
        with self._log.open("w") as log:
            command = [sys.executable, "-m", "gatewayz", "serve", "--port", "0", "--data-dir", str(data_dir)]
            environment = os.environ | {f"GATEWAYZ_{name.upper()}": value for name, value in settings.items()}
            self.process = subprocess.Popen(command, stderr=log, cwd=data_dir.parent, env=environment)

    @property
    def url(self) -> str:
        return self.until_printed(_READY)

    @property
    def printed(self) -> str:
        return self._log.read_text()

    def until_printed(self, pattern: re.Pattern[str]) -> str:
        """The first group of the pattern, once it was printed."""
        deadline = time.monotonic() + _WITHIN
        while (found := pattern.search(self.printed)) is None:
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.02)
        return found.group(1)

    def servers(self, name: str) -> list[psutil.Process]:
        """Processes of that name that were started with this data directory."""
        mark = str(self.data_dir)
        return [
            p
            for p in psutil.process_iter(["name", "cmdline"])
            if p.info["name"] == name and mark in " ".join(p.info["cmdline"] or [])
        ]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=_WITHIN)

    def command(self, *words: str) -> str:
        """What another `gatewayz` command on the same data prints as its result."""
        environment = {**os.environ, "GATEWAYZ_DATA_DIR": str(self.data_dir)}
        command = [sys.executable, "-m", "gatewayz", *words]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            text=True,
            timeout=_WITHIN,
            check=True,
            env=environment,
            cwd=self._log.parent,
        )
        return done.stdout


@contextmanager
def served(data_dir: Path, name: str = "serve", **settings: str) -> Iterator[Served]:
    """Running, but perhaps not ready yet: `url` waits for that."""
    one = Served(data_dir, name, **settings)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.stop()


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all have ended within the time."""
    return not psutil.wait_procs(processes, timeout=_WITHIN)[1]
