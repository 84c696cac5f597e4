"""The journal of charges: what survives, what is dropped, who may touch it."""

import asyncio
import os
import zlib
from pathlib import Path

import pytest

from gatewayz.core.errors import GatewayzError, Unavailable
from gatewayz.core.ids import AccountId, ApiKeyId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.journal import Journal, adopted, record_of
from gatewayz.credits.model import Charge


def charge(number: int, cost: int = 1) -> Charge:
    return Charge(
        request_id=f"req_{number}",
        account_id=AccountId(1),
        key_id=ApiKeyId("k"),
        model="a/m\n",
        provider="p",
        ended_at=1.5,
        cost=NanoUsd(cost),
    )


def files(directory: Path) -> list[str]:
    return sorted(path.suffix for path in directory.iterdir())


def leave_behind(directory: Path, content: bytes) -> None:
    """What a worker that died has left: a file that nobody locks."""
    directory.mkdir(exist_ok=True)
    (directory / "dead.journal").write_bytes(content)


async def test_charges_come_back_in_order_until_they_are_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in range(5):
        journal.write(charge(number))
    first = journal.read(3)
    assert [each.request_id for each in first.charges] == ["req_0", "req_1", "req_2"]
    assert journal.read(3) == first
    journal.settled(first)
    journal.write(charge(5))
    rest = journal.read(100)
    assert list(rest.charges) == [charge(3), charge(4), charge(5)]
    journal.settled(rest)
    assert (journal.unsettled_bytes, journal.read(1).charges) == (0, ())
    journal.write(charge(6))
    assert list(journal.read(9).charges) == [charge(6)]


async def test_who_wants_to_settle_waits_for_the_next_charge(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    waiting = asyncio.ensure_future(journal.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    journal.write(charge(1))
    await waiting
    await journal.wait()
    journal.close()


async def test_a_settled_journal_leaves_no_file_and_another_waits_to_be_adopted(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(charge(1))
    journal.settled(journal.read(9))
    journal.close()
    assert files(tmp_path) == []
    journal = Journal(tmp_path)
    journal.write(charge(2))
    journal.close()
    with adopted(tmp_path) as segment:
        assert segment is not None
        assert list(segment.read(9).charges) == [charge(2)]


async def test_a_full_file_is_followed_by_another_and_removed_once_it_is_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path, rotate_bytes=len(record_of(charge(1))))
    for number in range(1, 4):
        journal.write(charge(number))
    journal.settled(journal.read(1))
    journal.write(charge(4))
    assert files(tmp_path) == [".journal", ".journal"]
    seen = []
    while journal.unsettled_bytes:
        batch = journal.read(1)
        seen += [each.request_id for each in batch.charges]
        journal.settled(batch)
    assert seen == ["req_2", "req_3", "req_4"]
    assert files(tmp_path) == [".journal"]


async def test_the_journal_of_a_living_worker_is_nobody_elses(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write(charge(1))
    with adopted(tmp_path) as segment:
        assert segment is None


async def test_an_adopted_journal_is_nobody_elses_and_goes_when_it_is_settled(tmp_path: Path) -> None:
    leave_behind(tmp_path, record_of(charge(1)) + record_of(charge(2)))
    with adopted(tmp_path) as segment, adopted(tmp_path) as second:
        assert segment is not None
        assert second is None
        segment.settled(segment.read(1).end)
    assert files(tmp_path) == [".journal"]
    with adopted(tmp_path) as segment:
        assert segment is not None
        batch = segment.read(9)
        assert list(batch.charges) == [charge(1), charge(2)]
        segment.settled(batch.end)
    assert files(tmp_path) == []


@pytest.mark.parametrize("cut", range(1, len(record_of(charge(2)))))
async def test_a_record_that_a_crash_has_cut_anywhere_is_dropped(tmp_path: Path, cut: int) -> None:
    leave_behind(tmp_path, record_of(charge(1)) + record_of(charge(2))[:-cut])
    with adopted(tmp_path) as segment:
        assert segment is not None
        batch = segment.read(9)
        assert (list(batch.charges), batch.damaged) == ([charge(1)], 0)
        segment.settled(batch.end)
        assert (segment.read(9).charges, segment.drop_rest()) == ((), len(record_of(charge(2))) - cut)
    assert files(tmp_path) == []


@pytest.mark.parametrize("position", range(len(record_of(charge(2))) - 1))
async def test_a_record_with_any_wrong_byte_is_passed_over_and_counted(tmp_path: Path, position: int) -> None:
    damaged = bytearray(record_of(charge(2)))
    damaged[position] ^= 1
    leave_behind(tmp_path, record_of(charge(1)) + bytes(damaged) + record_of(charge(3)))
    with adopted(tmp_path) as segment:
        assert segment is not None
        batch = segment.read(9)
        assert [each.request_id for each in batch.charges] == ["req_1", "req_3"]
        assert batch.damaged >= 1


async def test_a_charge_that_cannot_be_written_whole_leaves_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.write(charge(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, record: write(descriptor, record[:7]))
    with pytest.raises(Unavailable, match="cannot be written"):
        journal.write(charge(2))
    assert journal.is_failing
    monkeypatch.undo()
    journal.write(charge(3))
    assert not journal.is_failing
    assert list(journal.read(9).charges) == [charge(1), charge(3)]


async def test_where_no_journal_can_be_made_the_remedy_is_told(tmp_path: Path) -> None:
    (tmp_path / "charges").touch()
    with pytest.raises(GatewayzError, match="GATEWAYZ_DATA_DIR"):
        Journal(tmp_path / "charges")


async def test_what_was_written_is_forced_to_the_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", forced.append)
    await journal.sync()
    journal.write(charge(1))
    journal.write(charge(2))
    await journal.sync()
    await journal.sync()
    assert len(forced) == 1


# As 0.1.0 has written them: the first with all that it knew, the second with what has no default.
RELEASED = (
    (
        b'{"request_id":"gen_1","account_id":7,"key_id":"key_1","model":"acme/m","provider":"acme","ended_at":1.5,'
        b'"native_id":"m","prompt_tokens":3,"completion_tokens":4,"cached_tokens":1,"cache_write_tokens":0,'
        b'"reasoning_tokens":0,"cost":25,"hold":100,"tranche":9,"cache_status":"miss","is_stream":true,"latency":0.25}'
    ),
    b'{"request_id":"gen_2","account_id":7,"key_id":"key_1","model":"acme/m","provider":"acme","ended_at":2.5}',
)


async def test_what_an_earlier_version_wrote_down_is_still_read(tmp_path: Path) -> None:
    """A journal outlives an upgrade. A field of a charge is never renamed, and a new one has a default."""
    leave_behind(tmp_path, b"".join(b"%08x %b\n" % (zlib.crc32(each), each) for each in RELEASED))
    with adopted(tmp_path) as segment:
        assert segment is not None
        batch = segment.read(10)
        assert [(each.request_id, each.cost, each.hold, each.tranche) for each in batch.charges] == [
            ("gen_1", 25, 100, 9),
            ("gen_2", 0, 0, None),
        ]
        assert batch.damaged == 0


async def test_what_a_later_version_wrote_down_is_read_without_what_is_not_known_yet(tmp_path: Path) -> None:
    later = RELEASED[1][:-1] + b',"of_a_later_version":{"a":1}}'
    leave_behind(tmp_path, b"%08x %b\n" % (zlib.crc32(later), later))
    with adopted(tmp_path) as segment:
        assert segment is not None
        assert [each.request_id for each in segment.read(10).charges] == ["gen_2"]
