import errno
from pathlib import Path

from gatewayz.embedded.errors import DiskFull, NotReady, UnusableDirectory, directory_error, server_error

HERE = Path("/data/log/postgres.log")


def test_a_full_disk_is_named_whether_the_kernel_or_the_server_says_so() -> None:
    by_kernel = directory_error(HERE, OSError(errno.ENOSPC, "No space left on device"))
    by_server = server_error("PostgreSQL", "failed", output="x: No space left on device\n", source=HERE)
    assert isinstance(by_kernel, DiskFull)
    assert isinstance(by_server, DiskFull)
    assert "'/data/log/postgres.log'" in str(by_server)


def test_an_unwritable_directory_comes_with_the_remedy() -> None:
    error = directory_error(HERE, OSError(errno.EROFS, "Read-only file system"))
    assert isinstance(error, UnusableDirectory)
    assert "Read-only file system" in str(error)
    assert "GATEWAYZ_DATA_DIR" in str(error)


def test_a_server_that_did_not_start_is_quoted_with_its_last_lines_and_its_log() -> None:
    output = "".join(f"line {number}\n" for number in range(100))
    error = server_error("PostgreSQL", "ended while it started", output=output, source=HERE)
    assert isinstance(error, NotReady)
    assert "line 99" in str(error)
    assert "line 80" not in str(error)
    assert "'/data/log/postgres.log'" in str(error)
