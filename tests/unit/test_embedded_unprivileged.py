import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewayz.embedded.errors import NoUnprivilegedUser
from gatewayz.embedded.unprivileged import Account, runner, server_account

IS_ROOT = os.geteuid() == 0
PROGRAM = Path("/bin/sh").resolve()


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gwz-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def who_runs(account: Account, place: Path, inside: Path) -> tuple[int, str]:
    """The user id a program runs with, and what it reads from a file in `inside`."""
    (inside / "word").write_text("seen")
    (inside / "word").chmod(0o644)
    started = runner(account, program=PROGRAM, directories=(inside,))
    with (place / "lock").open("w") as kept:
        command: list[str | Path] = [PROGRAM, "-c", f"id -u && cat {inside}/word"]
        done = started.run(command, keep_fd=kept.fileno())
    uid, word = done.stdout.split()
    return int(uid), word


def test_servers_never_run_as_root(place: Path) -> None:
    account = server_account(place)
    assert account.uid != 0
    assert who_runs(account, place, place) == (account.uid, "seen")


def test_the_owner_of_the_data_runs_its_servers(place: Path) -> None:
    owner = pwd.getpwnam("nobody") if IS_ROOT else pwd.getpwuid(os.geteuid())
    if IS_ROOT:
        os.chown(place, owner.pw_uid, owner.pw_gid)
    assert server_account(place).uid == owner.pw_uid


def test_a_directory_closed_to_the_servers_user_is_passed_or_named_with_the_remedy(place: Path) -> None:
    """Passed with a capability where the system has the tool for it, as for a clone in /root."""
    account = server_account(place)
    inside = place / "inside"
    inside.mkdir(mode=0o755)
    place.chmod(0o700)
    if not IS_ROOT or shutil.which("setpriv") is not None:
        assert who_runs(account, place, inside) == (account.uid, "seen")
    else:
        with pytest.raises(NoUnprivilegedUser, match=r"chmod o\+x"):
            runner(account, program=PROGRAM, directories=(inside,))


def test_our_secrets_do_not_reach_a_server(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    started = runner(server_account(place), program=PROGRAM, directories=(place,))
    with (place / "lock").open("w") as kept:
        done = started.run([PROGRAM, "-c", "env"], keep_fd=kept.fileno())
    assert "sk-secret" not in done.stdout
