"""What requests did cost, on disk before they count as ended: a file for each worker, only appended to.

A file is locked by the worker that writes it. The lock goes with the process, however it ends, and whoever then finds
it free settles what the file still says. Records are lines of their own: a checksum, a space, JSON. One that a crash
has cut is recognised and dropped; its request never counted as ended.
"""

import asyncio
import fcntl
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from gatewayz.core.errors import GatewayzError, Unavailable
from gatewayz.credits.model import Charge

log = structlog.get_logger("gatewayz.credits")

_SUFFIX = ".journal"
_READ_BYTES = 1 << 20
_ROTATE_BYTES = 8 << 20


class Batch(Struct, frozen=True):
    """Charges from the beginning of what is not settled, and where they end in their file. `damaged`: lines that could
    not be read and are passed over. `is_full`: there may be more.
    """

    charges: tuple[Charge, ...]
    end: int
    damaged: int = 0
    is_full: bool = False


class Segment:
    """One file, from which the settled part is only forgotten: a reader that comes later begins at its beginning."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._settled = 0
        self._size = os.fstat(descriptor).st_size

    @property
    def unsettled(self) -> int:
        """Bytes."""
        return self._size - self._settled

    @property
    def size(self) -> int:
        return self._size

    def append(self, record: bytes) -> None:
        """All of the record, or nothing of it and Unavailable."""
        try:
            written = os.write(self._descriptor, record)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        if written != len(record):
            os.ftruncate(self._descriptor, self._size)
            raise _unwritable(self.path, OSError(28, "No space left on device"))
        self._size += written

    def read(self, most: int) -> Batch:
        """Up to `most` charges that are not settled."""
        return _batch(os.pread(self._descriptor, _READ_BYTES, self._settled), self._settled, most)

    def settled(self, end: int) -> None:
        """What stands before `end` is settled. A file of which all is becomes empty."""
        self._settled = end
        if self.unsettled == 0 and self._size:
            os.ftruncate(self._descriptor, 0)
            self._settled = self._size = 0

    def drop_rest(self) -> int:
        """Forget what no writer will ever complete: the record that a crash has cut. Returns its bytes."""
        cut = self.unsettled
        self.settled(self._size)
        return cut

    def sync(self) -> None:
        """Force what was written to the disk. Blocks."""
        os.fsync(self._descriptor)

    async def sync_beside(self) -> None:
        """The same in a thread. The file may be closed meanwhile, and its number be another's: hence a copy."""
        await asyncio.to_thread(_sync_copy, os.dup(self._descriptor))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Give up the lock and leave the file to who finds it."""
        os.close(self._descriptor)


class Journal:
    """The journal of one worker. `write` is for its event loop only. Raises GatewayzError where no file can be made."""

    def __init__(self, directory: Path, *, rotate_bytes: int = _ROTATE_BYTES) -> None:
        self._directory = directory
        self._rotate_bytes = rotate_bytes
        self._segments = [_first(directory)]
        self._written = asyncio.Event()
        self._is_synced = True
        self._is_failing = False
        self.damaged = 0

    @property
    def is_failing(self) -> bool:
        """The last charge could not be written: let in nobody who would have to pay."""
        return self._is_failing

    @property
    def unsettled_bytes(self) -> int:
        return sum(segment.unsettled for segment in self._segments)

    def write(self, charge: Charge) -> None:
        """Once this returns, the charge will be settled even if the process is killed at once. Raises Unavailable."""
        try:
            self._segments[-1].append(record_of(charge))
        except Unavailable:
            self._is_failing = True
            raise
        self._is_failing = False
        self._is_synced = False
        self._written.set()

    async def wait(self) -> None:
        """Until something is not settled."""
        while not self.unsettled_bytes:
            self._written.clear()
            await self._written.wait()

    def read(self, most: int) -> Batch:
        """Up to `most` charges that are not settled, the oldest first."""
        batch = self._oldest().read(most)
        self.damaged += batch.damaged
        return batch

    def settled(self, batch: Batch) -> None:
        """Forget what `read` gave last."""
        self._oldest().settled(batch.end)
        if self._segments[-1].size > self._rotate_bytes:
            self._segments.append(_made(self._directory))
        while len(self._segments) > 1 and not self._segments[0].unsettled:
            self._segments.pop(0).remove()

    async def sync(self) -> None:
        """Force what was written to the disk, beside the event loop."""
        if self._is_synced:
            return
        self._is_synced = True
        try:
            for segment in tuple(self._segments):
                await segment.sync_beside()
        except OSError:
            self._is_synced = False
            raise

    def close(self) -> None:
        """What is settled leaves no file; the rest waits for who adopts it."""
        for segment in self._segments:
            if segment.unsettled:
                segment.sync()
                segment.release()
            else:
                segment.remove()
        self._segments = []

    def _oldest(self) -> Segment:
        return next((segment for segment in self._segments if segment.unsettled), self._segments[-1])


@contextmanager
def adopted(directory: Path) -> Iterator[Segment | None]:
    """A journal whose worker has died, locked for the time of the block; None if there is none. One of which all is
    settled at the end is removed.
    """
    segment = _orphan(directory)
    try:
        yield segment
    finally:
        if segment is not None and segment.unsettled:
            segment.release()
        elif segment is not None:
            segment.remove()


def record_of(charge: Charge) -> bytes:
    text = msgspec.json.encode(charge)
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _batch(block: bytes, start: int, most: int) -> Batch:
    """Whole lines only; what stands after the last line's end is being written, or was when its writer died."""
    charges: list[Charge] = []
    damaged, position = 0, 0
    while len(charges) < most and (end := block.find(b"\n", position)) >= 0:
        charge = _charge(block[position:end])
        position = end + 1
        if charge is not None:
            charges.append(charge)
        else:
            damaged += 1
    return Batch(tuple(charges), start + position, damaged, is_full=len(charges) == most or len(block) == _READ_BYTES)


def _charge(line: bytes) -> Charge | None:
    checksum, _, text = line.partition(b" ")
    try:
        if int(checksum, 16) == zlib.crc32(text):
            return msgspec.json.decode(text, type=Charge)
    except (ValueError, msgspec.ValidationError):
        pass
    log.error("journal_record_damaged", record=line[:200].decode("utf-8", "replace"))
    return None


def _first(directory: Path) -> Segment:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _made(directory)
    except OSError as error:
        raise GatewayzError(
            f"charges cannot be written down in {str(directory)!r} ({error.strerror}); make the directory writable "
            "or set GATEWAYZ_DATA_DIR"
        ) from error


def _made(directory: Path) -> Segment:
    """A file is locked before it has a name that anybody looks for."""
    name = secrets.token_hex(8)
    unnamed, path = directory / f"{name}.new", directory / f"{name}{_SUFFIX}"
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unnamed.rename(path)
    return Segment(path, descriptor)


def _orphan(directory: Path) -> Segment | None:
    for path in sorted(directory.glob(f"*{_SUFFIX}")):
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            if os.fstat(descriptor).st_nlink:
                return Segment(path, descriptor)
            os.close(descriptor)
    return None


def _sync_copy(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"the journal of charges in {str(path.parent)!r} cannot be written ({error.strerror})")
