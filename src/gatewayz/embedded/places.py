"""The directories of embedded servers, and whose they are."""

import os
from pathlib import Path

import msgspec

from gatewayz.embedded.errors import UnusableDirectory, directory_error
from gatewayz.embedded.sockets import socket_directory
from gatewayz.embedded.unprivileged import Account, server_account


class Places(msgspec.Struct, frozen=True):
    """`data` is absolute and resolved. All but `data` are `account`'s alone, and all but `sockets` exist."""

    account: Account
    data: Path
    sockets: Path
    logs: Path
    redis: Path


def prepare_places(data_dir: Path) -> Places:
    """Make what is missing. Raises UnusableDirectory, DiskFull or NoUnprivilegedUser. Safe to run at once."""
    try:
        data = _data_directory(data_dir)
        account = server_account(data)
        return Places(
            account=account,
            data=data,
            sockets=socket_directory(data, account),
            logs=_own_directory(data / "log", account),
            redis=_own_directory(data / "redis", account),
        )
    except OSError as problem:
        raise directory_error(Path(problem.filename or data_dir), problem) from problem


def open_lock(path: Path, account: Account) -> int:
    """A file to flock, which the programs we start do not inherit.

    Made when absent, for `account`, so that it too can share the directory.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    except OSError as problem:
        raise directory_error(path, problem) from problem
    account.own(file)
    return file


def _data_directory(data_dir: Path) -> Path:
    data = data_dir.absolute().resolve()
    if not data.exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        # Passable, as servers run as another user where we are root; what is in it is closed by itself.
        data.mkdir(mode=0o711, exist_ok=True)
        # `sudo` in a user's clone leaves a directory that the user, too, can start from.
        owner = data.parent.stat()
        Account(owner.st_uid, owner.st_gid).own(data)
    if not data.is_dir():
        raise UnusableDirectory(f"{str(data)!r} is not a directory. Remove it, or set GATEWAYZ_DATA_DIR.")
    if not os.access(data, os.W_OK | os.X_OK, effective_ids=True):
        raise UnusableDirectory(
            f"{str(data)!r} is not writable by user id {os.geteuid()} (it belongs to {data.stat().st_uid}). "
            "Give it to this user (chown -R), or set GATEWAYZ_DATA_DIR to another place."
        )
    return data


def _own_directory(path: Path, account: Account) -> Path:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        account.own_tree(path)
    else:
        account.own(path)
    return path
