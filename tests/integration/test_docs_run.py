"""What the documents tell people to type is typed here, against a real gateway.

A fenced block whose info string ends in `run` is executed; a block marked `output` right after it must match what
was printed, line by line and in order, where `…` stands for anything within a line.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.servers import short_directory

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BIN = Path(sys.executable).parent

_BLOCK = re.compile(
    r"^```(?P<language>\w+) run\n(?P<code>.*?)^```\n(?:\n```\w+ output\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
_READY = re.compile(r"is ready on (\S+)")
_READY_WITHIN = 60.0
_DONE_WITHIN = 60.0

# Where there is no curl: as much of it as the documents use.
_CURL = f"""#!{sys.executable}
import argparse, sys, urllib.error, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("-s", action="store_true")
parser.add_argument("-N", action="store_true")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-d")
parser.add_argument("url")
asked = parser.parse_args()
headers = dict(header.split(": ", 1) for header in asked.H)
request = urllib.request.Request(asked.url, asked.d and asked.d.encode(), headers)
try:
    sys.stdout.buffer.write(urllib.request.urlopen(request).read())
except urllib.error.HTTPError as refused:
    sys.stdout.buffer.write(refused.read())
"""


class Block(NamedTuple):
    where: str
    language: str
    code: str
    output: str


class Installation(NamedTuple):
    """A running gateway, and the environment of somebody who uses it."""

    url: str
    directory: Path
    environment: dict[str, str]


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            where = f"{page.relative_to(ROOT).as_posix()}:{text[: found.start()].count(chr(10)) + 1}"
            yield Block(where, found["language"], found["code"], found["output"] or "")


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with short_directory() as directory:
        tools = directory / "bin"
        tools.mkdir()
        if shutil.which("curl") is None:
            (tools / "curl").write_text(_CURL)
            (tools / "curl").chmod(0o755)
        environment = {
            "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath), str(tools)]),
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "GATEWAYZ_DATA_DIR": str(directory / "data"),
            "GATEWAYZ_LOG__LEVEL": "warning",
            "GATEWAYZ_ADMIN_KEY": "an-admin-key-of-the-documents",
        }
        with serving(directory, environment) as url:
            made = execute("bash", ".venv/bin/gatewayz keys create --name docs --json", directory, environment)
            key = json.loads(made.stdout)["key"]
            yield Installation(
                url, directory, {**environment, "API_KEY": key, "ADMIN_KEY": environment["GATEWAYZ_ADMIN_KEY"]}
            )


@contextmanager
def serving(directory: Path, environment: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-m", "gatewayz", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=directory, env=environment, stderr=subprocess.PIPE, text=True) as gateway:
        assert gateway.stderr is not None
        too_late = threading.Timer(_READY_WITHIN, gateway.terminate)
        too_late.start()
        try:
            said = []
            for line in gateway.stderr:
                said.append(line)
                if ready := _READY.search(line):
                    break
            else:
                raise AssertionError("the gateway did not become ready:\n" + "".join(said))
            too_late.cancel()
            yield ready[1]
        finally:
            too_late.cancel()
            gateway.terminate()
            gateway.stderr.read()


def execute(
    language: str, code: str, directory: Path, environment: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    interpreter = [sys.executable, "-c"] if language == "python" else ["sh", "-ec"]
    return subprocess.run(
        [*interpreter, code.replace(".venv/bin/", f"{BIN}/")],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_DONE_WITHIN,
        check=False,
    )


def missing_line(expected: str, printed: str) -> str | None:
    """The first expected line that was not printed after those before it."""
    position = 0
    for line in filter(None, map(str.strip, expected.splitlines())):
        found = re.compile(".*?".join(map(re.escape, line.split("…")))).search(printed, position)
        if found is None:
            return line
        position = found.end()
    return None


@pytest.mark.parametrize("block", list(blocks()), ids=lambda block: block.where)
def test_a_block_does_what_the_page_says(block: Block, installation: Installation) -> None:
    code = block.code.replace("http://127.0.0.1:8000", installation.url)
    done = execute(block.language, code, installation.directory, installation.environment)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    missing = missing_line(block.output, printed)
    assert missing is None, f"{missing!r} is not in what was printed:\n{printed}"


def test_the_pages_that_a_newcomer_reads_first_have_blocks_that_run() -> None:
    pages = {block.where.partition(":")[0] for block in blocks()}
    assert {"README.md", "docs/tutorials/first-request.md"} <= pages
