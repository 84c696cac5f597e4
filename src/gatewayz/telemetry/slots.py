"""Places for the workers of one `gatewayz serve`: small numbers that stay the same when a worker is replaced."""

import fcntl
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatewayz.core.socket_paths import SHORT_PLACE, is_short_enough

_LONGEST_NAME = "9999.sock"
_PREFIX = "gatewayz-workers-"
_OWNER = "owner.lock"


class Slot:
    """One worker's place. `number`: the smallest that was free, so a replacement takes that of who died."""

    def __init__(self, directory: Path, number: int) -> None:
        self.directory = directory
        self.number = number

    @property
    def socket(self) -> Path:
        return socket_of(self.directory, self.number)

    @property
    def counts(self) -> Path:
        """Where the worker writes what it has counted."""
        return counts_of(self.directory, self.number)


def socket_of(directory: Path, number: int) -> Path:
    return directory / f"{number}.sock"


def counts_of(directory: Path, number: int) -> Path:
    return directory / f"{number}.counts"


def taken(directory: Path) -> list[int]:
    """The numbers that some worker has, or has had."""
    return sorted(int(each.stem) for each in directory.glob("*.lock") if each.stem.isdigit())


def run_directories(data_dir: Path) -> list[Path]:
    """Of each serve that runs on this data directory."""
    owners = sorted(data_dir.absolute().glob(f"{_PREFIX}*/{_OWNER}"))
    return [owner.parent.resolve() for owner in owners if _is_held(owner)]


@contextmanager
def claimed(directory: Path) -> Iterator[Slot]:
    """A slot in the directory for the time of the block. When its process dies, however it dies, the kernel gives it
    back.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in itertools.count():
        file = os.open(directory / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        if _locked(file):
            break
        os.close(file)
    try:
        yield Slot(directory, number)
    finally:
        os.close(file)


@contextmanager
def run_directory(data_dir: Path) -> Iterator[Path]:
    """A new directory for the slots of one serve, this user's alone, removed at the end of the block.

    It lies in the data directory where sockets in it have names that the kernel takes, else in a short place, with a
    link to it in the data directory. What a killed serve has left there is removed.
    """
    place = data_dir.absolute()
    place.mkdir(mode=0o711, parents=True, exist_ok=True)
    with _alone(place):
        _sweep(place)
        is_short = is_short_enough(place / f"{_PREFIX}12345678" / _LONGEST_NAME)
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place if is_short else SHORT_PLACE))
        file = os.open(directory / _OWNER, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        entrance = place / directory.name
        if not is_short:
            entrance.symlink_to(directory)
    try:
        yield directory
    finally:
        _remove(entrance)
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """So that nobody sweeps away what another has made and not yet locked."""
    file = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _sweep(place: Path) -> None:
    for owner in place.glob(f"{_PREFIX}*/{_OWNER}"):
        if _is_held(owner) is False:
            _remove(owner.parent)
    for entrance in place.glob(f"{_PREFIX}*"):
        if entrance.is_symlink() and not entrance.exists():
            entrance.unlink(missing_ok=True)  # what it led to was removed by somebody else


def _is_held(owner: Path) -> bool | None:
    """Whether its serve lives; None where that cannot be told: it is another user's, or ends just now."""
    try:
        file = os.open(owner, os.O_RDWR)
    except (PermissionError, FileNotFoundError):
        return None
    try:
        return not _locked(file)
    finally:
        os.close(file)


def _remove(entrance: Path) -> None:
    """There are files only in it. A worker that is still stopping may write one more: then it is swept later."""
    directory = entrance.resolve()
    for each in directory.iterdir():
        each.unlink(missing_ok=True)
    try:
        directory.rmdir()
    except OSError:
        return
    if entrance.is_symlink():
        entrance.unlink()
