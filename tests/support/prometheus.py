"""Prometheus' programs, as Debian has them, and one that runs."""

import asyncio
import os
import shutil
import socket
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.redis_programs import FETCHED

SCRAPE_EVERY = 1.0
"""Seconds."""


def program(name: str) -> Path:
    """prometheus or promtool. Skips the test where it is not found, except in CI."""
    fetched = FETCHED / "prometheus" / "usr" / "bin" / name
    found = str(fetched) if fetched.exists() else shutil.which(name)
    if found is not None:
        return Path(found)
    missing = f"no {name} is found: `make servers` fetches Debian's"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


class Prometheus:
    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self._url = url
        self._client = client

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Each series of the result: its labels and its value now. Fails for an expression that is none."""
        async with self._client.get(f"{self._url}/api/v1/query", params={"query": expression}) as response:
            said = await response.json()
        assert said["status"] == "success", (expression, said)
        return [{"metric": each["metric"], "value": float(each["value"][1])} for each in said["data"]["result"]]

    async def is_ready(self) -> bool:
        try:
            async with self._client.get(f"{self._url}/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False


@asynccontextmanager
async def scraping(target: str) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes what listens there, `host:port`. It may still be starting."""
    own_port = _free_port()
    with tempfile.TemporaryDirectory(prefix="gwz-") as name:
        place = Path(name)
        every = f"{int(SCRAPE_EVERY * 1000)}ms"
        jobs = [{"job_name": "gatewayz", "static_configs": [{"targets": [target]}]}]
        config = {"global": {"scrape_interval": every, "scrape_timeout": every}, "scrape_configs": jobs}
        (place / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [
            str(program("prometheus")),
            f"--config.file={place / 'prometheus.yml'}",
            f"--storage.tsdb.path={place / 'data'}",
            f"--web.listen-address=127.0.0.1:{own_port}",
        ]
        process = await asyncio.create_subprocess_exec(*command, stderr=DEVNULL, stdout=DEVNULL, cwd=place)
        try:
            async with aiohttp.ClientSession() as client:
                yield Prometheus(f"http://127.0.0.1:{own_port}", client)
        finally:
            process.terminate()
            await process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
