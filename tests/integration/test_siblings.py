"""Workers that ask each other."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.support.servers import short_directory

from gatewayz.telemetry.siblings import Answers, Siblings, ask_workers
from gatewayz.telemetry.slots import Slot, claimed, run_directories, run_directory, socket_of

SIZE = 3 * 1024 * 1024


@asynccontextmanager
async def worker(directory: Path, name: bytes = b"") -> AsyncIterator[Siblings]:
    async def echo(words: bytes) -> bytes:
        return name + words

    async def large(_words: bytes) -> bytes:
        return bytes(SIZE)

    with claimed(directory) as slot:
        one = Siblings(slot, {"echo": echo, "large": large})
        await one.open()
        try:
            yield one
        finally:
            await one.close()


@pytest.fixture
async def three() -> AsyncIterator[list[Siblings]]:
    with short_directory() as directory:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(worker(directory, b"abc"[n : n + 1])) for n in range(3)]


async def test_whichever_worker_asks_all_answer(three: list[Siblings]) -> None:
    for each in three:
        assert await each.ask("echo", b"!") == Answers({0: b"a!", 1: b"b!", 2: b"c!"})


async def test_an_answer_may_be_long(three: list[Siblings]) -> None:
    assert {number: len(said) for number, said in (await three[0].ask("large")).told.items()} == {
        0: SIZE,
        1: SIZE,
        2: SIZE,
    }


async def test_the_socket_is_its_users_alone(three: list[Siblings]) -> None:
    slot = three[0]._slot
    assert slot is not None
    assert stat.S_IMODE(slot.socket.stat().st_mode) == 0o600


async def test_who_does_not_answer_in_time_is_silent_and_the_others_count() -> None:
    with short_directory() as directory:
        async with worker(directory, b"a") as one, _mute(directory):
            assert await one.ask("echo", within=0.05) == Answers({0: b"a"}, (1,))


async def test_who_breaks_off_is_silent() -> None:
    with short_directory() as directory:
        async with worker(directory, b"a") as one, _breaking_off(directory):
            assert await one.ask("echo") == Answers({0: b"a"}, (1,))


async def test_who_has_gone_is_neither_silent_nor_asked() -> None:
    with short_directory() as directory:
        async with worker(directory, b"a") as one:
            async with worker(directory, b"b"):
                pass
            assert await one.ask("echo") == Answers({0: b"a"})
            async with worker(directory, b"c") as its_successor:
                assert its_successor.number == 1
                assert await one.ask("echo") == Answers({0: b"a", 1: b"c"})


async def test_the_socket_that_a_killed_worker_left_is_taken_over() -> None:
    with short_directory() as directory:
        async with worker(directory, b"a") as one:
            socket_of(directory, 1).write_bytes(b"")
            async with worker(directory, b"b"):
                assert await one.ask("echo") == Answers({0: b"a", 1: b"b"})


async def test_a_worker_without_a_slot_asks_itself() -> None:
    async def echo(words: bytes) -> bytes:
        return words

    one = Siblings(None, {"echo": echo})
    await one.open()
    assert await one.ask("echo", b"?") == Answers({0: b"?"})
    await one.close()


def test_a_data_directory_may_have_a_long_name_and_nothing_is_left(tmp_path: Path) -> None:
    for data in (tmp_path / ("x" * 120), tmp_path / "short"):
        with run_directory(data) as directory:
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            with claimed(directory) as slot:
                assert len(str(slot.socket)) < 104
        assert not directory.exists()
        assert list(data.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 120, "short"])
def test_a_running_serve_is_found_by_its_data_directory_and_not_when_it_has_ended(tmp_path: Path, name: str) -> None:
    with run_directory(tmp_path / name) as directory, run_directory(tmp_path / name) as another:
        assert run_directories(tmp_path / name) == sorted(
            [directory.resolve(), another.resolve()], key=lambda d: d.name
        )
    assert run_directories(tmp_path / name) == []


def test_a_link_that_leads_nowhere_is_removed_by_the_next_start(tmp_path: Path) -> None:
    entrance = tmp_path / "gatewayz-workers-12345678"
    entrance.symlink_to(tmp_path / "removed by somebody else")
    with run_directory(tmp_path):
        assert not entrance.is_symlink()


async def test_who_is_no_worker_asks_them_all_the_same(three: list[Siblings]) -> None:
    slot = three[0]._slot
    assert slot is not None
    assert await ask_workers(slot.directory, "echo", b"!") == Answers({0: b"a!", 1: b"b!", 2: b"c!"})


def test_what_a_killed_serve_left_is_removed_and_what_a_living_one_has_is_not() -> None:
    with short_directory() as data, run_directory(data) as living:
        left = data / "gatewayz-workers-12345678"
        left.mkdir()
        for name in ("owner.lock", "0.lock", "0.counts"):
            (left / name).touch()
        with run_directory(data):
            assert not left.exists()
            assert living.exists()


@asynccontextmanager
async def _listening(slot: Slot, hear: object) -> AsyncIterator[None]:
    server = await asyncio.start_unix_server(hear, str(slot.socket))  # type: ignore[arg-type]
    try:
        yield
    finally:
        server.close()


@asynccontextmanager
async def _mute(directory: Path) -> AsyncIterator[None]:
    """A worker that takes questions and says nothing."""
    done = asyncio.Event()

    async def hear(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    with claimed(directory) as slot:
        async with _listening(slot, hear):
            yield
            done.set()


@asynccontextmanager
async def _breaking_off(directory: Path) -> AsyncIterator[None]:
    """A worker that dies in the middle of its answer."""

    async def hear(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x91\xc4\x05ab")
        writer.close()

    with claimed(directory) as slot:
        async with _listening(slot, hear):
            yield
