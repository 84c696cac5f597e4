"""Why the gateway's own servers could not start. Each message names the thing and the remedy.

EmbeddedError
├── NotInstalled         the server's program is not there
├── UnusableDirectory    the data or socket directory is not ours to write
├── WrongVersion         the data was written by another major version of PostgreSQL
├── DiskFull
├── NoUnprivilegedUser   we are root, and no other user can reach the programs or the data
└── NotReady             the server ended, or did not answer in time

These are for the person at the terminal: they name paths and carry log lines, so they never become
an HTTP answer.
"""

import errno
from pathlib import Path

_LOG_LINES = 12
_NO_SPACE = "No space left on device"


class EmbeddedError(Exception):
    """A server of our own could not be started."""


class NotInstalled(EmbeddedError):
    pass


class UnusableDirectory(EmbeddedError):
    pass


class WrongVersion(EmbeddedError):
    pass


class DiskFull(EmbeddedError):
    pass


class NoUnprivilegedUser(EmbeddedError):
    pass


class NotReady(EmbeddedError):
    pass


def directory_error(path: Path, problem: OSError) -> EmbeddedError:
    """What `problem`, met when writing in or at `path`, means for the person who started us."""
    if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
        return disk_full(path)
    return UnusableDirectory(
        f"Cannot use {str(path)!r} for data: {problem.strerror}. "
        "Make it a directory that this user may write, or set GATEWAYZ_DATA_DIR to another place."
    )


def server_error(name: str, what: str, *, output: str, source: Path) -> EmbeddedError:
    """The error for a server or its setup that said `output`; `source` is where to look further."""
    if _NO_SPACE in output:
        return disk_full(source)
    lines = output.rstrip().splitlines()[-_LOG_LINES:]
    said = "\n".join(f"  {line}" for line in lines) or "  (nothing)"
    return NotReady(
        f"{name} {what}. See {str(source)!r}; its last lines:\n{said}\n"
        "Mend that and start again, or give the URL of a server of yours "
        "(DATABASE_URL for PostgreSQL, REDIS_URL for Redis)."
    )


def disk_full(path: Path) -> DiskFull:
    return DiskFull(
        f"No space is left on the disk of {str(path)!r}. "
        "Free some, or set GATEWAYZ_DATA_DIR to a directory on another disk."
    )
