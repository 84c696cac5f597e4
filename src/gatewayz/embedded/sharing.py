"""Several processes, one set of servers: the first in starts them, the last out stops them.

Two flocks in the data directory, which the kernel drops when their holder dies, however it dies:

- `users.lock`, shared, for as long as a process uses the servers. Who can turn it exclusive is alone.
- `start.lock`, exclusive, while arriving or leaving. So nobody arrives while the last one is leaving: the
  newcomer waits, finds the servers stopped, and starts them again. It also makes the change from shared to
  exclusive safe, which in itself drops the one lock before it takes the other (flock(2)).

Someone killed while starting leaves a server that the next one in finds and adopts.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from gatewayz.embedded.places import Places, open_lock
from gatewayz.embedded.unprivileged import Account

T = TypeVar("T")


@contextmanager
def shared(places: Places, *, arrive: Callable[[], T], last_out: Callable[[], None]) -> Iterator[T]:
    """Use what `arrive` returns. Neither callable ever runs beside another of the same directory.

    `arrive` starts what does not run; `last_out` stops what runs, also after a failed `arrive`.
    """
    with ExitStack() as files:
        # Opened once: leaving works even when the directory has been removed since.
        start = files.enter_context(_lock_file(places.data / "start.lock", places.account))
        users = files.enter_context(_lock_file(places.data / "users.lock", places.account))
        with _exclusive(start):
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                value = arrive()
            except BaseException:
                _leave(users, last_out)
                raise
        try:
            yield value
        finally:
            with _exclusive(start):
                _leave(users, last_out)


def _leave(users: int, last_out: Callable[[], None]) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    last_out()


@contextmanager
def _lock_file(path: Path, account: Account) -> Iterator[int]:
    file = open_lock(path, account)
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def _exclusive(file: int) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
