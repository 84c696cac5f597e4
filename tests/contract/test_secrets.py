"""No secret stands in any table, key or value of Redis, file, log line, answer, metric or repr after a full run."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from tests.support.fake_upstream import FakeUpstream
from tests.support.haystack import Haystack, spellings
from tests.support.own_redis import own_redis
from tests.support.served import Served, served
from tests.support.servers import short_directory

from gatewayz.accounts.digest import KeyDigester
from gatewayz.accounts.provider_keys import OwnKey
from gatewayz.accounts.sealing import Sealer
from gatewayz.api.admin.forms import ProviderKeyTermsForm
from gatewayz.embedded.servers import embedded_servers
from gatewayz.settings import load_settings

ADMIN = "an-admin-key-that-nobody-may-read-0123456789"
PEPPER = "a-secret-key-of-the-installation-9876543210"
PROVIDERS = {"acme": "sk-acme-0a1b2c3d4e5f6a7b8c9d", "beta": "sk-beta-9f8e7d6c5b4a39281706"}
OWN = {"an own key": "sk-own-of-customer-11223344556677", "an own key that is refused": "sk-own-refused-99887766554433"}
PASSWORDS = {"database": "pa55-of-the-database-xyz", "redis": "pa55-of-redis-xyzzy-42"}
MODEL = "acme/rocket-1"
FIRST_KEY = re.compile(r"API key\s+(gw_live_\S+)")
BY_COMMAND = "sk-own-by-command-0f1e2d3c4b5a6978"
COMMANDS = (
    ["check-config"],
    ["doctor"],
    ["keys", "list", "--json"],
    ["accounts", "list", "--json"],
    ["accounts", "provider-keys", "list", "customer", "--json"],
    ["accounts", "provider-keys", "reseal"],
    ["cache", "stats", "--json"],
    ["sync", "acme", "--json"],
)


class Run:
    """Requests of all kinds, each answer of which is kept."""

    def __init__(self, gateway: Served, client: aiohttp.ClientSession, haystack: Haystack) -> None:
        self._url = gateway.url
        self._client = client
        self._haystack = haystack

    async def ask(self, method: str, path: str, key: str, body: object = None, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {key}", **headers}
        async with self._client.request(method, self._url + path, json=body, headers=sent) as answer:
            said = await answer.read()
            is_new_key = method == "POST" and path.startswith("/admin/keys") and answer.status < 300
            if not is_new_key:  # which is shown once, there
                self._haystack.add(f"answer of {method} {path}", said + repr(answer.headers).encode())
            return answer.status, json.loads(said) if answer.content_type == "application/json" else said

    async def chat(self, key: str, **fields: object) -> int:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **fields}
        return (await self.ask("POST", "/v1/chat/completions", key, body))[0]


async def made_keys(run: Run) -> dict[str, str]:
    _, account = await run.ask("POST", "/admin/accounts", ADMIN, {"username": "customer"})
    keys = {}
    for name, terms in (
        ("a key", {"limits": {"requests_per_minute": 1000}}),
        ("a revoked key", {}),
        ("a key that may do nothing", {"limits": {"requests_per_minute": 1}}),
        ("a key bound to networks", {"networks": ["198.51.100.0/24"]}),
        ("a rotated key", {}),
        ("a key of who brings keys", {"scopes": ["inference", "account", "provider_keys"]}),
    ):
        form = {"name": name, "account_id": account["id"], "pays_unknown_prices": True, **terms}
        status, made = await run.ask("POST", "/admin/keys", ADMIN, form)
        assert status == 201, made
        keys[name] = made["key"]
        if name == "a revoked key":
            assert (await run.ask("DELETE", f"/admin/keys/{made['id']}", ADMIN))[0] in {200, 204}
        if name == "a rotated key":
            status, again = await run.ask("POST", f"/admin/keys/{made['id']}/rotate", ADMIN, {})
            assert status in {200, 201}, again
            keys["what it was rotated to"] = again["key"]
    await run.ask("POST", "/admin/credits/grant", ADMIN, {"account_id": account["id"], "amount": "5", "reason": "r"})
    return keys


async def used(run: Run, keys: dict[str, str], upstream: FakeUpstream) -> None:
    key = keys["a key"]
    for stream in (False, True):
        assert await run.chat(key, stream=stream, seed=int(stream)) == 200
    await run.ask("POST", "/v1/chat/completions", key, _chat(), **{"Idempotency-Key": "once"})
    await run.ask("POST", "/v1/chat/completions", key, _chat(), **{"Idempotency-Key": "once"})
    for name in ("a revoked key", "a key that may do nothing", "a key that may do nothing", "a key bound to networks"):
        await run.chat(keys[name])
    for wrong in (key[:-1] + "x", "gw_live_", "old-form-key-0123456789abcdef", key.upper()):
        assert await run.chat(wrong) in {401, 429}
    for number, behaviour in enumerate(("quotes-key", "quotes-key-400", "429", "500", "breaks", "no-quota")):
        upstream.behaviours = dict.fromkeys(PROVIDERS, behaviour)
        await run.chat(key, seed=100 + number)
    for method, path in (
        ("GET", "/v1/key"),
        ("GET", "/v1/credits"),
        ("GET", "/v1/usage"),
        ("GET", "/v1/usage?format=csv"),
        ("GET", "/v1/models?limit=5"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/health/ready"),
        ("GET", "/no/such/route"),
        ("PUT", "/v1/key"),
    ):
        await run.ask(method, path, key)
    for path in ("/admin/keys", "/admin/accounts", "/admin/audit", "/admin/plans", "/api/system/cache/stats"):
        await run.ask("GET", path, ADMIN)
        await run.ask("GET", path, key)


async def brought(run: Run, key: str, upstream: FakeUpstream) -> None:
    """Keys of the account's own, used, refused, shown, replaced and removed."""
    upstream.behaviours = dict.fromkeys(PROVIDERS, "answers")
    path = "/v1/provider-keys/acme"
    for number, (secret, behaviour) in enumerate(zip(OWN.values(), ("answers", "quotes-key"), strict=True)):
        upstream.by_key[secret] = behaviour
        assert (await run.ask("PUT", path, key, {"key": secret}))[0] == 200
        assert await run.chat(key, seed=200 + number) == (200 if behaviour == "answers" else 403)
        await run.chat(key, seed=300 + number, stream=True)
        await run.ask("GET", path, key)
        await run.ask("GET", "/v1/provider-keys", key)
    assert {f"Bearer {secret}" for secret in OWN.values()} <= {each.headers["Authorization"] for each in upstream.asked}
    for body in ({"key": f"{OWN['an own key']} {'x' * 5000}"}, {"kye": OWN["an own key"]}, [OWN["an own key"]]):
        assert (await run.ask("PUT", path, key, body))[0] == 400
    await run.ask("PUT", "/v1/provider-keys/nobody", key, {"key": OWN["an own key"]})
    await run.ask("GET", "/admin/audit", ADMIN)


def _chat() -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "once"}]}


@pytest.mark.slow
async def test_no_secret_stands_anywhere_after_a_full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    haystack = Haystack()
    async with FakeUpstream().running() as upstream, aiohttp.ClientSession() as client:
        for name, value in _environment(upstream).items():
            monkeypatch.setenv(name, value)
        with short_directory() as directory:
            with served(directory / "data") as gateway:
                first = await asyncio.to_thread(gateway.until_printed, FIRST_KEY)
                run = Run(gateway, client, haystack)
                keys = await made_keys(run)
                keys["a key made by command"] = json.loads(
                    await asyncio.to_thread(
                        gateway.command, "keys", "create", "--name", "n", "--credits", "1", "--json"
                    )
                )["key"]
                await used(run, keys, upstream)
                await brought(run, keys["a key of who brings keys"], upstream)
                command = ["accounts", "provider-keys", "set", "customer", "beta"]
                said = await asyncio.to_thread(_said, gateway, command, BY_COMMAND)
                assert "from now on" in said
                haystack.add("set by command", said)
                for words in COMMANDS:
                    haystack.add(f"gatewayz {' '.join(words)}", await asyncio.to_thread(_said, gateway, words))
                await _servers_searched(haystack, directory / "data")
            announced = gateway.printed.count(first)
            assert all(f"Cache {use}" in gateway.printed for use in ("HIT", "MISS", "SET", "INVALIDATE")), "at debug"
            haystack.add("the log", gateway.printed)
            haystack.add_files(directory / "data", without=(directory / "data" / "postgres",))
    _settings_searched(haystack, monkeypatch)
    own = {**OWN, "an own key set by command": BY_COMMAND}
    secrets = {"the admin key": ADMIN, "the secret key": PEPPER, **PROVIDERS, **PASSWORDS, **own, **keys}
    assert haystack.found(secrets) == []
    assert haystack.found({"the first key": first}) == ["the first key in the log"], "where it is shown once"
    assert announced == 2, "by itself, and in a command that works as it stands"


@pytest.mark.parametrize("secret", [ADMIN, PROVIDERS["acme"]])
def test_the_search_finds_a_secret_however_it_is_written(secret: str) -> None:
    for spelling in spellings(secret):
        haystack = Haystack()
        haystack.add("somewhere", b"before" + spelling + b"after")
        assert haystack.found({"it": secret}) == ["it in somewhere"]
    haystack = Haystack()
    haystack.add("somewhere", f"…{secret[-4:]}, {secret[:6]}…")
    assert haystack.found({"it": secret}) == []


async def test_the_search_goes_through_every_table_and_every_type_of_redis(database_url: str) -> None:
    haystack = Haystack()
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute('CREATE SCHEMA s; CREATE TABLE s."Odd name" (id int, at jsonb)')
        await connection.execute('INSERT INTO s."Odd name" VALUES (1, $1::jsonb)', json.dumps({"k": ADMIN}))
        assert await haystack.add_database(connection) == 1
    finally:
        await connection.close()
    with own_redis() as server:
        async with Redis.from_url(server.url) as redis:
            await redis.set("string", ADMIN)
            await redis.hset("hash", "field", ADMIN)
            await redis.zadd("zset", {ADMIN: 1})
            await redis.sadd("set", ADMIN)
            await redis.lpush("list", ADMIN)
            await redis.xadd("stream", {"field": ADMIN})
            await redis.set(f"key of {ADMIN}", "")
            assert await haystack.add_redis(redis) == 7
    # The table, six values, and the keys.
    assert len(haystack.found({"it": ADMIN})) == 8


def _environment(upstream: FakeUpstream) -> dict[str, str]:
    own = {"GATEWAYZ_ADMIN_KEY": ADMIN, "GATEWAYZ_SECRET_KEY": PEPPER, "GATEWAYZ_LOG__LEVEL": "debug"}
    for slug, key in PROVIDERS.items():
        prefix = f"GATEWAYZ_PROVIDERS__{slug.upper()}__"
        own |= {f"{prefix}BASE_URL": upstream.base_url("answers" if slug == "acme" else slug), f"{prefix}API_KEY": key}
        own[f"{prefix}MODELS"] = MODEL
    own["GATEWAYZ_PROVIDERS__ACME__BASE_URL"] = upstream.base_url("acme")
    upstream.behaviours = dict.fromkeys(PROVIDERS, "answers")
    return own


def _said(gateway: Served, words: list[str], typed: str = "") -> str:
    """All that a command prints, whatever it thinks of the state of things."""
    environment = {**os.environ, "GATEWAYZ_DATA_DIR": str(gateway.data_dir)}
    command = [sys.executable, "-m", "gatewayz", *words]
    done = subprocess.run(
        command,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=gateway.data_dir.parent,
        check=False,
    )
    return done.stdout + done.stderr


async def _servers_searched(haystack: Haystack, data: Path) -> None:
    with embedded_servers(data, postgres=True, redis=True) as servers:
        connection = await asyncpg.connect(servers.database_url)
        try:
            assert await haystack.add_database(connection) > 15
        finally:
            await connection.close()
        if servers.redis_url is not None:
            async with Redis.from_url(servers.redis_url) as redis:
                assert await haystack.add_redis(redis) > 5


def _settings_searched(haystack: Haystack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:{PASSWORDS['database']}@127.0.0.1/d")
    monkeypatch.setenv("REDIS_URL", f"redis://:{PASSWORDS['redis']}@127.0.0.1:6379/0")
    settings = load_settings()
    key = OWN["an own key"]
    sealer = Sealer(PEPPER.encode())
    shown_of_keys = (
        sealer,
        sealer.seal(key, owner=b""),
        OwnKey("pk_1", key[-4:], SecretStr(key)),
        ProviderKeyTermsForm(key=SecretStr(key)),
    )
    for shown in (settings, settings.configured_providers(), KeyDigester(PEPPER.encode()), *shown_of_keys):
        haystack.add(f"repr of {type(shown).__name__}", repr(shown) + str(shown))
    with short_directory() as directory:
        command = [sys.executable, "-m", "gatewayz", "check-config"]
        for more in ([], ["--json"]):
            done = subprocess.run(
                [*command, *more], capture_output=True, text=True, timeout=60, cwd=directory, check=False
            )
            haystack.add(f"{' '.join(command[2:])} {more} with passwords", done.stdout + done.stderr)
