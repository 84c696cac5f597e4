"""Real servers, real processes, one data directory."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis
from tests.support.servers import short_directory

from gatewayz.embedded.errors import NotReady, UnusableDirectory, WrongVersion
from gatewayz.embedded.redis import find_redis
from gatewayz.embedded.servers import embedded_servers

ROOT = Path(__file__).parents[2]
ALL = ("redis", "postgres") if find_redis() is not None else ("postgres",)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with short_directory() as directory:
        yield directory / "data"


def server_processes(data_dir: Path) -> list[psutil.Process]:
    """Those that name the directory, and live: a dead one that nobody waited for yet is no orphan."""
    found = []
    for process in psutil.process_iter(["cmdline", "status", "name"]):
        words = " ".join(process.info["cmdline"] or ())
        is_server = process.info["name"] in {"postgres", "redis-server", "valkey-server"}
        if is_server and str(data_dir) in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


class User:
    """A process that uses the servers of `data_dir`."""

    def __init__(self, data_dir: Path) -> None:
        command = [sys.executable, "-m", "tests.support.embedded_user", str(data_dir)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.database_url, self.redis_url, started = self.process.stdout.readline().split()
        self.started = tuple(started.split(",")) if started != "nothing" else ()

    def leave(self) -> None:
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0

    def die(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


@contextmanager
def user(data_dir: Path) -> Iterator[User]:
    one = User(data_dir)
    try:
        yield one
    finally:
        if one.process.returncode is None:
            one.leave()


@contextmanager
def not_root() -> Iterator[None]:
    """Root may write anywhere, so this process is somebody else for a while."""
    us = os.geteuid()
    if us == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(us)


async def write(url: str, word: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        await connection.execute("INSERT INTO kept VALUES ($1)", word)
    finally:
        await connection.close()


async def read(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row["word"] for row in await connection.fetch("SELECT word FROM kept ORDER BY word")]
    finally:
        await connection.close()


async def test_a_second_start_finds_the_data_of_the_first(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=True) as servers:
        assert servers.started == ALL
        assert servers.database_url is not None
        await write(servers.database_url, "first")
    assert server_processes(data_dir) == []
    with embedded_servers(data_dir, postgres=True, redis=True) as servers:
        assert servers.database_url is not None
        assert await read(servers.database_url) == ["first"]
    assert server_processes(data_dir) == []


async def test_servers_listen_on_no_network_and_let_only_their_user_in(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=True) as servers:
        processes = server_processes(data_dir)
        assert len(processes) == len(ALL)
        for process in processes:
            assert process.net_connections("inet") == []
            assert process.uids().real != 0
        assert stat.S_IMODE((data_dir / "run").stat().st_mode) == 0o700
        if servers.redis_url is not None:
            async with Redis.from_url(servers.redis_url) as redis:
                assert (await redis.config_get("maxmemory-policy"))["maxmemory-policy"] == "volatile-lru"


async def test_a_terminals_ctrl_c_does_not_reach_the_servers(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=True):
        for process in server_processes(data_dir):
            assert os.getsid(process.pid) != os.getsid(0)


async def test_of_two_users_only_the_last_stops_the_servers(data_dir: Path) -> None:
    with user(data_dir) as first, user(data_dir) as second:
        assert first.started == ALL
        assert second.started == ()
        assert second.database_url == first.database_url
        first.leave()
        await write(second.database_url, "still here")
        second.leave()
    assert server_processes(data_dir) == []


def test_users_of_one_process_share_as_well(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=False):
        with embedded_servers(data_dir, postgres=True, redis=False) as inner:
            assert inner.started == ()
        assert len(server_processes(data_dir)) == 1
    assert server_processes(data_dir) == []


def test_users_that_arrive_and_leave_at_once_never_meet_a_stopping_server(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=True):
        pass
    command = [sys.executable, "-m", "tests.support.embedded_user", str(data_dir)]
    crowd = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(6)
    ]
    for one in crowd:
        assert "postgresql://" in one.communicate(timeout=60)[0]
        assert one.returncode == 0
    assert server_processes(data_dir) == []


async def test_the_servers_of_a_killed_user_are_adopted_and_stopped_by_the_next(data_dir: Path) -> None:
    with user(data_dir) as killed:
        await write(killed.database_url, "before the kill")
        killed.die()
    assert len(server_processes(data_dir)) == len(ALL)
    with embedded_servers(data_dir, postgres=True, redis=True) as servers:
        assert servers.started == ()
        assert servers.database_url is not None
        assert await read(servers.database_url) == ["before the kill"]
    assert server_processes(data_dir) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_servers_that_somebody_ended_are_started_again(data_dir: Path, how: signal.Signals) -> None:
    with user(data_dir) as killed:
        await write(killed.database_url, "before the end")
        killed.die()
    processes = server_processes(data_dir)
    for process in processes:
        process.send_signal(how)
    if how == signal.SIGTERM:  # a server that was asked may answer a little longer
        psutil.wait_procs(processes, timeout=30)
    with embedded_servers(data_dir, postgres=True, redis=True) as servers:
        assert servers.started == ALL
        assert servers.database_url is not None
        assert await read(servers.database_url) == ["before the end"]
    assert server_processes(data_dir) == []


def test_the_last_user_stops_servers_that_another_had_to_start_again(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=True):
        processes = server_processes(data_dir)
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=30)
        with embedded_servers(data_dir, postgres=True, redis=True) as restarted:
            assert restarted.started == ALL
        assert len(server_processes(data_dir)) == len(ALL)
    assert server_processes(data_dir) == []


async def test_the_id_in_a_stale_pid_file_may_belong_to_anyone_by_now(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=True):
        pass
    (data_dir / "run").mkdir()
    (data_dir / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data_dir}/postgres\n")
    (data_dir / "run" / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    (data_dir / "run" / "redis.sock").touch()
    (data_dir / "redis" / "redis.pid").write_text(f"{os.getpid()}\n")
    with embedded_servers(data_dir, postgres=True, redis=True) as servers:
        assert servers.started == ALL
    assert server_processes(data_dir) == []


def test_an_interrupted_first_start_is_made_anew(data_dir: Path) -> None:
    half = data_dir / "postgres.partial"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with embedded_servers(data_dir, postgres=True, redis=False) as servers:
        assert servers.started == ("postgres",)
    assert not half.exists()


def test_a_user_killed_in_its_first_start_leaves_nothing_in_the_way(data_dir: Path) -> None:
    command = [sys.executable, "-m", "tests.support.embedded_user", str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as killed:
        while not (data_dir / "postgres.partial").exists():
            assert killed.poll() is None
        killed.kill()
    with embedded_servers(data_dir, postgres=True, redis=True) as servers:
        assert "postgres" in servers.started
    assert server_processes(data_dir) == []


def test_servers_are_stopped_even_when_their_directory_was_removed(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=True):
        shutil.rmtree(data_dir)
    assert server_processes(data_dir) == []


async def test_a_long_path_works_with_its_sockets_elsewhere(data_dir: Path) -> None:
    def short_directories() -> set[str]:
        return set(map(str, Path("/tmp").glob("gatewayz-*")))

    far = data_dir / ("long " * 20)
    with embedded_servers(far, postgres=True, redis=True) as servers:
        assert servers.database_url is not None
        await write(servers.database_url, "far")
        sockets = servers.database_url.partition("host=")[2]
        assert sockets in short_directories()
    assert server_processes(far) == []
    assert sockets not in short_directories()


async def test_a_path_with_signs_that_urls_know_works(data_dir: Path) -> None:
    odd = data_dir / "a b%20&c?d#e@f"
    with embedded_servers(odd, postgres=True, redis=True) as servers:
        assert servers.database_url is not None
        await write(servers.database_url, "odd")
        if servers.redis_url is not None:
            async with Redis.from_url(servers.redis_url) as redis:
                assert await redis.ping()


def test_without_a_program_for_redis_there_is_none(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=True, redis_program=lambda: None) as servers:
        assert servers.redis_url is None
        assert servers.redis_source is None
        assert servers.started == ("postgres",)


def test_nothing_is_touched_when_nothing_is_wanted(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=False, redis=False) as servers:
        assert servers.database_url is None
    assert not data_dir.exists()


def test_data_of_another_postgresql_is_refused_by_name(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    with (
        pytest.raises(WrongVersion, match=r"PostgreSQL 16, and this is 18"),
        embedded_servers(data_dir, postgres=True, redis=True),
    ):
        pass
    assert server_processes(data_dir) == []


def test_a_file_in_the_place_of_the_data_is_refused_by_name(data_dir: Path) -> None:
    data_dir.touch()
    with (
        pytest.raises(UnusableDirectory, match=f"'{data_dir}' is not a directory"),
        embedded_servers(data_dir, postgres=True, redis=False),
    ):
        pass


def test_an_unwritable_directory_is_refused_with_the_remedy(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o555)
    with (
        not_root(),
        pytest.raises(UnusableDirectory, match=r"is not writable(.|\n)*GATEWAYZ_DATA_DIR") as refused,
        embedded_servers(data_dir, postgres=True, redis=True),
    ):
        pass
    assert repr(str(data_dir)) in str(refused.value)


def test_a_directory_that_cannot_be_made_is_refused_with_the_remedy(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o555)
    with (
        not_root(),
        pytest.raises(UnusableDirectory, match=r"Permission denied(.|\n)*GATEWAYZ_DATA_DIR"),
        embedded_servers(data_dir / "below", postgres=True, redis=True),
    ):
        pass


def test_a_server_that_ends_at_once_is_reported_with_its_own_words(data_dir: Path) -> None:
    with embedded_servers(data_dir, postgres=True, redis=False):
        pass
    with (data_dir / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with (
        pytest.raises(NotReady, match=r"ended while it started(.|\n)*no_such_setting"),
        embedded_servers(data_dir, postgres=True, redis=True),
    ):
        pass
    assert server_processes(data_dir) == []
