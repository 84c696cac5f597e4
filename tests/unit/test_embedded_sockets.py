import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewayz.embedded.errors import UnusableDirectory
from gatewayz.embedded.sockets import make_socket_directory, socket_directory
from gatewayz.embedded.unprivileged import Account

ACCOUNT = Account(os.geteuid(), os.getegid())


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gwz-", dir="/tmp") as name:
        yield Path(name)


def far(place: Path) -> Path:
    directory = place / ("d" * 90)
    directory.mkdir()
    return directory


def test_sockets_live_in_the_data_directory(place: Path) -> None:
    directory = socket_directory(place, ACCOUNT)
    assert directory == place / "run"
    make_socket_directory(directory, ACCOUNT)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_gives_a_short_one(place: Path) -> None:
    directory = socket_directory(far(place), ACCOUNT, short_place=place)
    assert directory.parent == place
    assert len(str(directory / ".s.PGSQL.5432")) < 100


def test_the_short_directory_of_a_data_directory_is_always_the_same(place: Path) -> None:
    data = far(place)
    assert socket_directory(data, ACCOUNT, short_place=place) == socket_directory(data, ACCOUNT, short_place=place)


def test_two_data_directories_do_not_share_a_short_directory(place: Path) -> None:
    first = far(place)
    second = first / "second"
    second.mkdir()
    assert socket_directory(first, ACCOUNT, short_place=place) != socket_directory(second, ACCOUNT, short_place=place)


def test_a_comma_counts_as_unfit_for_clients_take_it_for_a_list(place: Path) -> None:
    data = place / "a,b"
    data.mkdir()
    assert socket_directory(data, ACCOUNT, short_place=place).parent == place


def test_a_directory_left_open_is_closed(place: Path) -> None:
    directory = place / "run"
    directory.mkdir()
    directory.chmod(0o777)
    make_socket_directory(directory, ACCOUNT)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_link_planted_in_the_temp_directory_is_refused(place: Path) -> None:
    elsewhere = far(place)
    planted = place / "planted"
    planted.symlink_to(elsewhere)
    with pytest.raises(UnusableDirectory, match="belongs to someone else"):
        make_socket_directory(planted, ACCOUNT)


def test_a_directory_of_somebody_else_is_refused(place: Path) -> None:
    theirs = Path("/usr")
    if os.geteuid() == 0:
        theirs = place / "theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
    with pytest.raises(UnusableDirectory, match="belongs to someone else"):
        make_socket_directory(theirs, ACCOUNT)
