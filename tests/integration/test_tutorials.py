"""A newcomer's way through the tutorials: each step in order, in one directory, with what the page says is printed.

Blocks that end in `step` are typed, `console serve` starts the gateway as the page does (and stops the one before).
What a newcomer has of his own, a model server or databases, is put in the place of the page's examples.
"""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct
from redis.asyncio import Redis
from tests.integration.test_docs_run import _CURL, BIN, ROOT, missing_line
from tests.support.fake_upstream import FakeUpstream
from tests.support.patience import PATIENCE
from tests.support.servers import fresh_database, short_directory

from gatewayz.embedded.servers import Servers

pytestmark = pytest.mark.slow

_BLOCK = re.compile(
    r"^```(?P<kind>bash step|console serve)\n(?P<code>.*?)^```\n(?:\n```\w+ output\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
# Seconds. A step holds several commands, on a machine that may be busy.
_DONE_WITHIN = 5 * PATIENCE
_READY = re.compile(r"is ready on (\S+)")


class Step(Struct, frozen=True):
    kind: str
    code: str
    output: str


def steps(page: str) -> list[Step]:
    text = (ROOT / "docs" / "tutorials" / page).read_text(encoding="utf-8")
    return [Step(each["kind"], each["code"], each["output"] or "") for each in _BLOCK.finditer(text)]


class Newcomer:
    """Types in one directory. `own`: what he has, by what the page has in its place."""

    def __init__(self, directory: Path, own: dict[str, str]) -> None:
        self._directory = directory
        self._own = own
        self._gateway: subprocess.Popen[bytes] | None = None
        self._log = directory / "serve.log"
        self._environment = {
            "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath), str(directory / "bin")]),
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "GATEWAYZ_PORT": "0",
            "GATEWAYZ_CATALOG__SYNC_ON_START": "false",
        }

    def takes(self, step: Step) -> None:
        code = self._put(step.code)
        if step.kind == "console serve":
            self._serve(code)
            return
        done = subprocess.run(
            ["sh", "-ec", code],
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_DONE_WITHIN,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{step.code}\n{printed}"
        missing = missing_line(step.output, printed)
        assert missing is None, f"{missing!r} is not in what was printed:\n{printed}"

    def leaves(self) -> None:
        """As by Ctrl-C, to which the gateway says that all is well."""
        if self._gateway is not None:
            self._gateway.terminate()
            assert self._gateway.wait(PATIENCE) == 0, self._log.read_text()

    def _serve(self, command: str) -> None:
        self.leaves()
        words = command.replace("make serve", f"{BIN}/gatewayz serve").split()
        with self._log.open("wb") as log:
            self._gateway = subprocess.Popen(words, cwd=self._directory, env=self._environment, stderr=log)
        while (ready := _READY.search(self._log.read_text())) is None:
            assert self._gateway.poll() is None, self._log.read_text()
            try:
                self._gateway.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        self._own["http://127.0.0.1:8000"] = ready[1]

    def _put(self, code: str) -> str:
        for theirs, ours in {".venv/bin/": f"{BIN}/", **self._own}.items():
            code = code.replace(theirs, ours)
        return code


@contextmanager
def newcomer(own: dict[str, str]) -> Iterator[Newcomer]:
    with short_directory() as directory:
        (directory / "bin").mkdir()
        if shutil.which("curl") is None:
            (directory / "bin" / "curl").write_text(_CURL)
            (directory / "bin" / "curl").chmod(0o755)
        one = Newcomer(directory, own)
        try:
            yield one
        finally:
            one.leaves()


async def test_the_first_provider_is_connected_asked_and_seen_as_the_page_says() -> None:
    async with FakeUpstream().running() as upstream:
        own = {"http://127.0.0.1:11434/v1": upstream.base_url("answers")}
        with newcomer(own) as one:
            for step in steps("first-provider.md"):
                await asyncio.to_thread(one.takes, step)
        assert len(upstream.asked) == 1, "the second time the answer is kept"


async def test_production_is_reached_as_the_page_says(servers: Servers) -> None:
    assert servers.redis_url is not None
    async with fresh_database(servers) as url, Redis.from_url(f"{servers.redis_url}?db=14") as redis:
        await redis.flushdb()
        own = {
            "postgresql://gatewayz:SECRET@db.example.com/gatewayz": url,
            "rediss://:SECRET@cache.example.com:6379/0": f"{servers.redis_url}?db=14",
        }
        with newcomer(own) as one:
            for step in steps("production-in-an-hour.md"):
                await asyncio.to_thread(one.takes, step)


def test_every_tutorial_is_walked() -> None:
    """The first request by test_docs_run, the others here."""
    pages = {path.name for path in (ROOT / "docs" / "tutorials").glob("*.md")}
    assert pages == {"first-request.md", "first-provider.md", "production-in-an-hour.md"}
    assert all(len(steps(page)) >= 5 for page in pages - {"first-request.md"})
