"""What the processes of a run write down, each in a file of its own, on the one monotonic clock of the machine."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct


class Read(Struct, frozen=True, array_like=True, tag="read"):
    """`version` is None where the answer was "there is none"."""

    worker: str
    entity: str
    key: str
    version: int | None
    began: float
    ended: float


class Failed(Struct, frozen=True, array_like=True, tag="failed"):
    """A read that raised, never ended, or gave what was not asked for."""

    worker: str
    entity: str
    key: str
    reason: str
    began: float
    ended: float


class Loading(Struct, frozen=True, array_like=True, tag="loading"):
    """`redis`: what the worker thinks of it then."""

    worker: str
    entity: str
    key: str
    at: float
    redis: str = ""


class Loaded(Struct, frozen=True, array_like=True, tag="loaded"):
    worker: str
    entity: str
    key: str
    at: float


class Writing(Struct, frozen=True, array_like=True, tag="writing"):
    """Before a change is sent: from here on a read may see one more version."""

    entity: str
    key: str
    at: float


class Acknowledged(Struct, frozen=True, array_like=True, tag="acknowledged"):
    """`way`: how it was changed. `is_certain`: everybody is said to have confirmed; else it was only repeated until
    nothing was left to send.
    """

    way: str
    entity: str
    key: str
    version: int
    at: float
    is_certain: bool = True


class Window(Struct, frozen=True, array_like=True, tag="window"):
    """A fault, from before it began until after it had ended. `kind` says what it excuses: see checker.py."""

    kind: str
    name: str
    began: float
    ended: float


class Stalled(Struct, frozen=True, array_like=True, tag="stalled"):
    """This worker's event loop was late, or Redis was too slow for it."""

    worker: str
    began: float
    ended: float


Event: TypeAlias = Read | Failed | Loading | Loaded | Writing | Acknowledged | Window | Stalled


class Log:
    """One line an event, in the file before `note` returns: who is killed has told all."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._encoder = msgspec.json.Encoder()

    def note(self, event: Event) -> None:
        os.write(self._file, self._encoder.encode(event) + b"\n")

    def close(self) -> None:
        os.close(self._file)


def recorded(paths: Iterable[Path]) -> list[Event]:
    decoder = msgspec.json.Decoder(Event)
    return [decoder.decode(line) for path in paths for line in path.read_bytes().splitlines()]
