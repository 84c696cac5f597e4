"""Where the servers' unix sockets live: a directory that only the servers' user can enter.

That directory is the access control: inside, PostgreSQL trusts every connection and Redis has no password.
"""

import hashlib
import os
import stat
from pathlib import Path

from gatewayz.core.socket_paths import SHORT_PLACE, is_short_enough
from gatewayz.embedded.errors import UnusableDirectory
from gatewayz.embedded.unprivileged import Account

_LONGEST_NAME = ".s.PGSQL.5432"


def socket_directory(data_dir: Path, account: Account, *, short_place: Path = SHORT_PLACE) -> Path:
    """`<data_dir>/run` where that fits a socket address, else a short path under `short_place`.

    `data_dir` is absolute and resolved: the same directory gives the same answer in every process.
    """
    directory = data_dir / "run"
    if _fits(directory):
        return directory
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return short_place / f"gatewayz-{account.uid}-{digest}"


def make_socket_directory(directory: Path, account: Account) -> None:
    """Made when absent, `account`'s alone. Raises UnusableDirectory where it is somebody else's."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        _verify(directory, account)
    account.own(directory)
    directory.chmod(0o700)


def _fits(directory: Path) -> bool:
    # PostgreSQL and asyncpg take a comma for the end of one directory in a list of them.
    address = directory / _LONGEST_NAME
    return is_short_enough(address) and not set(os.fsencode(address)) & set(b',"')


def _verify(directory: Path, account: Account) -> None:
    status = directory.lstat()
    # A directory of ours and not yet the account's is one that a killed process had no time to give away.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {account.uid, os.geteuid()}:
        raise UnusableDirectory(
            f"{str(directory)!r}, where the servers' sockets would live, belongs to someone else. "
            "Remove it, or set GATEWAYZ_DATA_DIR to another place."
        )
