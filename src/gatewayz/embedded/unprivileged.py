"""Running a server as somebody other than root.

PostgreSQL refuses to run as root, and nothing here needs to. So where we are root, servers run as the owner
of the data directory, else as `postgres`, else as `nobody`. Where we are not root, they run as ourselves.

Such a user often cannot reach a clone in `/root` (mode 0700). On Linux `setpriv` then changes the user and
keeps one capability, that of passing through directories; see "ambient" and "securebits" in capabilities(7).
"""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from gatewayz.embedded.errors import NoUnprivilegedUser

_NAMES = ("postgres", "nobody")
# Name for setpriv and bit number in CapEff. The first can only read and pass; the second, which Docker grants
# by default, can also write, so it comes second.
_READ_SEARCH = ("dac_read_search", 2)
_OVERRIDE = ("dac_override", 1)


class Account(msgspec.Struct, frozen=True):
    """The user that servers run as."""

    uid: int
    gid: int

    def own(self, path: Path | int) -> None:
        """Make the account owner of `path`. Does nothing unless we are root."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)

    def own_tree(self, top: Path) -> None:
        """The same for all below `top`, where it is another's: say, a volume from a system with other ids."""
        if top.stat().st_uid == self.uid:
            return
        for directory, _, files in os.walk(top, topdown=False):  # `top` last: it tells whether all is done
            for name in (*files, ""):
                os.chown(Path(directory, name), self.uid, self.gid, follow_symlinks=False)


class Runner(msgspec.Struct, frozen=True):
    """Starts programs as `account`."""

    account: Account
    prefix: tuple[str, ...] = ()

    def run(
        self, command: Sequence[str | Path], *, stdin: str = "", log: int | None = None, keep_fd: int
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end and capture what it says, its errors only without a `log`. It inherits `keep_fd`.

        It gets a session of its own, so that a terminal's Ctrl-C does not reach it, and not our environment:
        that holds secrets, and PGPORT and its like would change what a server does.
        """
        switch = os.geteuid() == 0 and not self.prefix
        try:
            return subprocess.run(  # noqa: S603  the program is one of ours by absolute path
                [*self.prefix, *command],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if log is None else log,
                text=True,
                errors="replace",
                check=False,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                pass_fds=(keep_fd,),
                start_new_session=True,
                umask=0o077,
                user=self.account.uid if switch else None,
                group=self.account.gid if switch else None,
                extra_groups=[] if switch else None,
            )
        except PermissionError as problem:
            raise NoUnprivilegedUser(
                f"Cannot run {str(command[0])!r} as user id {self.account.uid}: {problem.strerror}. "
                "In a container, allow SETUID and SETGID or start it as a user other than root."
            ) from problem


def server_account(data_dir: Path) -> Account:
    """Who shall run the servers of `data_dir`, which exists."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    owner = data_dir.stat()
    if owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise NoUnprivilegedUser(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(map(repr, _NAMES))}. "
        f"Create one, run as another user, or give {str(data_dir)!r} to the user that shall run it."
    )


def runner(account: Account, *, program: Path, directories: Iterable[Path]) -> Runner:
    """A runner of `program` that gets through to it and to `directories`, all of which exist."""
    if os.geteuid() != 0:
        return Runner(account)
    closed = [barrier for path in (program, *directories) if (barrier := _barrier(path, account)) is not None]
    if not closed:
        return Runner(account)
    setpriv = shutil.which("setpriv")
    capability = _capability(program_closed=any(path.is_file() for path in closed))
    if setpriv is None or capability is None:
        raise NoUnprivilegedUser(
            f"PostgreSQL does not run as root, and user id {account.uid} cannot enter {str(closed[0])!r}. "
            f"Run `chmod o+x {closed[0]}`, or move out of it (GATEWAYZ_DATA_DIR moves the data)."
        )
    return Runner(account, _setpriv(setpriv, account, capability))


def _setpriv(setpriv: str, account: Account, capability: str) -> tuple[str, ...]:
    ids = (f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")
    caps = ("--inh-caps", f"+{capability}", "--ambient-caps", f"+{capability}")
    # no_setuid_fixup: else the kernel drops every capability with the change of user.
    return (setpriv, "--securebits", "+no_setuid_fixup", *ids, *caps)


def _barrier(path: Path, account: Account) -> Path | None:
    """The first of `path`'s ancestors, or itself, that `account` may not enter or execute."""
    real = path.resolve()
    for step in (*reversed(real.parents), real):
        status = step.stat()
        if status.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif status.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return step
    return None


def _capability(*, program_closed: bool) -> str | None:
    """The weakest capability we hold that opens the way. Passing directories is not executing files."""
    held = _effective_capabilities()
    fitting = [_OVERRIDE] if program_closed else [_READ_SEARCH, _OVERRIDE]
    return next((name for name, bit in fitting if held >> bit & 1), None)


def _effective_capabilities() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:  # not Linux
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields["CapEff"], 16)
