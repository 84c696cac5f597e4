"""The commands of the page on backups, run as they stand: the restored ledger proves itself, and old keys work."""

import os
import re
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from tests.support.cached_chats import Caller
from tests.support.fake_upstream import FakeUpstream
from tests.support.gateway import install, listed, listing, parts_of, serving, settings_for
from tests.support.servers import fresh_database

from gatewayz.core.money import nano_usd
from gatewayz.embedded import postgres
from gatewayz.embedded.servers import Servers
from gatewayz.settings import Settings

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "runbooks" / "backup-and-restore.md"
BLOCK = re.compile(r"^ *```bash drill\n(.*?)^ *```\n(?:\n *```text output\n(.*?)^ *```\n)?", re.MULTILINE | re.DOTALL)
LISTS = (listing("acme", listed("rocket-1", "0.001")),)


def drills() -> list[tuple[str, list[str]]]:
    """Commands, and what they must say."""
    found = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return [(textwrap.dedent(code), [line.strip().rstrip("…") for line in said.splitlines()]) for code, said in found]


def typed(code: str, directory: Path, **environment: str) -> str:
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), str(postgres._programs()), os.environ.get("PATH", os.defpath)]
    )
    done = subprocess.run(
        ["sh", "-ec", code],
        cwd=directory,
        env={"PATH": path, "HOME": str(directory), "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


async def asked(settings: Settings, key: str, questions: range) -> None:
    """Each question answered by the provider, and charged by the time this returns."""
    async with serving(settings) as gateway:
        caller = Caller(gateway, key)
        for number in questions:
            assert (await caller.ask(f"question {number}")).status == 200


async def balance(url: str) -> tuple[int, int]:
    connection = await asyncpg.connect(url)
    try:
        count = await connection.fetchval("SELECT count(*) FROM charges WHERE charged > 0")
        left = await connection.fetchval(
            "SELECT purchased FROM credit_balances b JOIN accounts a ON a.id = b.account_id WHERE username = 'a'"
        )
        return count, left
    finally:
        await connection.close()


async def test_what_was_backed_up_is_restored_and_proves_itself(servers: Servers, tmp_path: Path) -> None:
    async with (
        FakeUpstream().running() as upstream,
        fresh_database(servers) as url,
        fresh_database(servers) as restored_url,
    ):
        providers = {"acme": {"base_url": upstream.base_url("answers"), "api_key": "sk-acme"}}
        settings = settings_for(servers, url, tmp_path / "data", providers=providers)
        await install(settings, LISTS)
        async with parts_of(settings) as parts:
            key = (await parts.keys.create(name="n", account="a", credits=nano_usd(Decimal(1000)))).secret
        await asked(settings, key, range(3))
        saved = await balance(url)

        (back_up, _), *restore = drills()
        where = {"DATABASE_URL": url, "RESTORED_URL": restored_url, "REDIS_URL": str(settings.redis_url())}
        typed(back_up, tmp_path, **where)
        await asked(settings, key, range(3, 5))  # lost, as the page says
        for code, lines in restore:
            said = typed(code, tmp_path, **where)
            assert [line for line in lines if line not in said] == []
        async with Redis.from_url(str(settings.redis_url())) as redis:
            await redis.flushdb()
        assert await balance(restored_url) == saved

        restored = settings_for(
            servers,
            restored_url,
            tmp_path / "data",
            providers=providers,
            cache={"redis_url": settings.redis_url(), "redis_socket_connect_timeout": 1.0},
        )
        await asked(restored, key, range(5, 7))
        count, left = await balance(restored_url)
        assert count == saved[0] + 2
        assert left < saved[1]
        typed("gatewayz credits check", tmp_path, **{**where, "DATABASE_URL": restored_url})


def test_the_page_has_a_backup_and_a_restore_to_try() -> None:
    commands = [code.split()[0] for code, _ in drills()]
    assert commands == ["pg_dump", "pg_restore", "export"]
