"""`gatewayz serve` from its first start to its last, and what it survives."""

import json
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
from tests.support.served import Served, gone, served
from tests.support.servers import short_directory

pytestmark = pytest.mark.slow

KEY = re.compile(r"API key\s+(gw_live_\S+)")
CHAT = {"model": "demo/echo", "messages": [{"role": "user", "content": "Hello"}]}


def asked(url: str, key: str = "", body: object = None) -> Any:  # noqa: ANN401  any JSON
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Authorization": f"Bearer {key}"}), timeout=30) as answer:
        return json.load(answer)


def chat(gateway: Served, key: str) -> str:
    content: str = asked(f"{gateway.url}/v1/chat/completions", key, CHAT)["choices"][0]["message"]["content"]
    return content


def until_ready(gateway: Served) -> None:
    """What has only just started may still be on its way to Redis."""
    deadline = time.monotonic() + 60
    while (said := asked(f"{gateway.url}/health/ready"))["status"] != "ok":
        assert time.monotonic() < deadline, said


def refused(gateway: Served, key: str) -> bool:
    try:
        chat(gateway, key)
    except HTTPError as error:
        return error.code == 401
    return False


def test_a_start_finds_what_the_last_one_left_and_a_stop_leaves_nothing_running() -> None:
    with short_directory() as directory:
        data = directory / "data"
        with served(data) as first:
            key = first.until_printed(KEY)
            assert chat(first, key) == "Hello"
            assert asked(f"{first.url}/v1/models?limit=1")["total"] > 2000
            servers = first.servers("postgres") + first.servers("redis-server")
        assert gone(servers)
        with served(data) as second:
            assert chat(second, key) == "Hello"
            assert "API key" not in second.printed.partition("is ready")[0]


def test_a_killed_supervisor_takes_its_workers_along_and_the_next_start_takes_over_its_servers() -> None:
    with short_directory() as directory:
        data = directory / "data"
        with served(data) as killed:
            key = killed.until_printed(KEY)
            workers = psutil.Process(killed.process.pid).children(recursive=True)
            postgres = killed.servers("postgres")
            killed.process.kill()
            killed.process.wait()
            assert gone(workers)
        with served(data) as following:
            assert chat(following, key) == "Hello"
            assert {p.pid for p in following.servers("postgres")} == {p.pid for p in postgres}
        assert gone(postgres)


def test_of_three_first_starts_at_once_one_makes_the_keys() -> None:
    with short_directory() as directory, ExitStack() as stack:
        names = ("one", "two", "three")
        gateways = [stack.enter_context(served(directory / "data", name)) for name in names]
        for gateway in gateways:
            until_ready(gateway)
        keys = json.loads(gateways[0].command("keys", "list", "--json"))
        assert sorted(key["name"] for key in keys) == ["admin", "first"]
        assert sum("API key" in gateway.printed.partition("is ready")[0] for gateway in gateways) == 1


def test_a_key_is_revoked_while_redis_hangs_and_stays_so_when_it_is_back() -> None:
    with short_directory() as directory, served(directory / "data") as gateway:
        key = gateway.until_printed(KEY)
        assert chat(gateway, key) == "Hello"
        (first,) = [each for each in json.loads(gateway.command("keys", "list", "--json")) if each["name"] == "first"]
        redis = gateway.servers("redis-server")
        for process in redis:
            process.suspend()
        try:
            gateway.command("keys", "revoke", first["id"])
            assert refused(gateway, key)
        finally:
            for process in redis:
                process.resume()
        assert refused(gateway, key)


def test_embedded_servers_that_die_are_started_again() -> None:
    with short_directory() as directory, served(directory / "data") as gateway:
        key = gateway.until_printed(KEY)
        dying = gateway.servers("postgres") + gateway.servers("redis-server")
        for process in dying:
            process.kill()
        assert gone(dying)
        gateway.until_printed(re.compile("(embedded_servers_had_died)"))
        until_ready(gateway)
        assert chat(gateway, key) == "Hello"


def test_a_port_in_use_is_named_with_the_remedy_and_nothing_is_left_running() -> None:
    with short_directory() as directory, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "gatewayz",
            "serve",
            "--port",
            str(port),
            "--data-dir",
            str(directory / "data"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=directory)
        assert done.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
        assert "--port" in done.stderr
        mark = str(directory)
        assert not [p for p in psutil.process_iter(["cmdline"]) if mark in " ".join(p.info["cmdline"] or [])]
