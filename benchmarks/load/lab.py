"""Where gateways are set up for measuring: a temporary directory, made-up providers, filled catalogs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from benchmarks.load.process import free_port, running, wait_until_answers
from benchmarks.machine import ROOT

GATEWAYZ = Path(sys.executable).parent / "gatewayz"

# Shares of ten made-up providers. All list the same entries from the first on, so that the first entries have
# ten offers each and the last ones a single offer.
SHARES = (0.28, 0.20, 0.14, 0.10, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02)

_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "PYTHONPATH")
_SYNC_WITHIN = 300


class SyncFailed(Exception):
    """A catalog could not be filled. The message ends with what `gatewayz sync` printed."""


class Installed(Struct, frozen=True):
    """A data directory whose catalog is filled, and the environment that its commands need."""

    data_dir: Path
    environment: Mapping[str, str]


class SyncRun(Struct, frozen=True):
    """One `gatewayz sync`: the seconds of the whole command, and rows listed and written as it reports them."""

    seconds: float
    listed: int
    written: int


class Lab:
    """`log` files and data directories live in `place`, which is removed at the end."""

    def __init__(self, place: Path, list_url: str) -> None:
        self.place = place
        self._list_url = list_url
        self._filled: dict[int, Installed] = {}

    def empty(self, name: str, models: int = 0) -> Installed:
        """A new data directory, and providers that would list `models` entries in all."""
        data_dir = self.place / name
        return Installed(data_dir, self._environment(data_dir, models))

    def filled(self, models: int) -> Installed:
        """A catalog of `models` entries in all, synced once and then used by every benchmark of this run."""
        if models not in self._filled:
            installed = self.empty(f"catalog-{models}", models)
            sync(installed)
            self._filled[models] = installed
        return self._filled[models]

    def _environment(self, data_dir: Path, models: int) -> Mapping[str, str]:
        own = {
            "GATEWAYZ_DATA_DIR": str(data_dir),
            "GATEWAYZ_CATALOG__SYNC_ON_START": "false",
        }
        for slug, count in _sizes(models).items():
            own[f"GATEWAYZ_PROVIDERS__{slug.upper()}__BASE_URL"] = f"{self._list_url}/synthetic/{count}"
        return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, **own}


@contextmanager
def laboratory() -> Iterator[Lab]:
    with TemporaryDirectory(prefix="gatewayz-bench-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # the embedded servers pass through it as another user where we are root
        port, log = free_port(), place / "list-server.log"
        command = [sys.executable, "-m", "tests.support.list_server", "--port", str(port)]
        with running(command, environment=os.environ, directory=ROOT, log=log) as process:
            wait_until_answers(process, port, "/synthetic/1/models", log=log, within=20)
            yield Lab(place, f"http://127.0.0.1:{port}")


def sync(installed: Installed, *providers: str) -> SyncRun:
    """Run `gatewayz sync`, for the made-up providers if none is named. Raises SyncFailed, also for a refused list."""
    began = time.monotonic()
    done = subprocess.run(
        [GATEWAYZ, "sync", *(providers or SLUGS), "--json"],
        env=installed.environment,
        cwd=installed.data_dir.parent,
        capture_output=True,
        timeout=_SYNC_WITHIN,
        check=False,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise SyncFailed(f"{done.args!r} printed:\n{(done.stderr + done.stdout).decode()[-3000:]}")
    reports = json.loads(done.stdout)
    return SyncRun(seconds, *(sum(report[field] for report in reports) for field in ("listed", "written")))


def made_key(installed: Installed, *words: str) -> str:
    """A new key, by `gatewayz keys create` with these words."""
    done = subprocess.run(
        [GATEWAYZ, "keys", "create", "--name", "bench", *words, "--json"],
        env=installed.environment,
        cwd=installed.data_dir.parent,
        capture_output=True,
        timeout=60,
        check=True,
    )
    key: str = json.loads(done.stdout)["key"]
    return key


SLUGS = tuple(f"madeup{number}" for number in range(1, len(SHARES) + 1))


def _sizes(models: int) -> dict[str, int]:
    """How many entries each made-up provider lists; the first takes what rounding leaves."""
    if not models:
        return {}
    sizes = [max(1, round(models * share)) for share in SHARES]
    sizes[0] += models - sum(sizes)
    return dict(zip(SLUGS, sizes, strict=True))
