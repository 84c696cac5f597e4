"""The workers of one `gatewayz serve` ask each other.

Each listens on a unix socket in their common directory. A question is a name and bytes, its answer bytes; what they
mean is between who asks and who answers. One connection carries one question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from gatewayz.telemetry.slots import Slot, socket_of, taken

WITHIN = 1.0
"""Seconds that a worker has to answer. Those that are frozen delay who asks by that, all together."""

log = structlog.get_logger("gatewayz.siblings")

AnswerTo = Callable[[bytes], Awaitable[bytes]]


class Answers(Struct, frozen=True):
    """`told`: by the number of the worker's slot. `silent`: the numbers of those that live and did not answer."""

    told: dict[int, bytes]
    silent: tuple[int, ...] = ()


class Siblings:
    """`answers`: what this worker can be asked, by name. Without a slot it is alone: it asks itself.

    Every worker of one serve runs the same code, so each knows what another may ask.
    """

    def __init__(self, slot: Slot | None, answers: Mapping[str, AnswerTo]) -> None:
        self._slot = slot
        self._answers = answers
        self._server: asyncio.Server | None = None

    @property
    def number(self) -> int:
        """Of the worker's slot; 0 for one that is alone."""
        return self._slot.number if self._slot is not None else 0

    async def open(self) -> None:
        if self._slot is None:
            return
        path = self._slot.socket
        path.unlink(missing_ok=True)  # of who had the slot before
        self._server = await asyncio.start_unix_server(self._hear, str(path))
        path.chmod(0o600)

    async def close(self) -> None:
        if self._server is not None and self._slot is not None:
            self._server.close()
            self._slot.socket.unlink(missing_ok=True)

    async def ask(self, name: str, words: bytes = b"", *, within: float = WITHIN) -> Answers:
        """Every worker, this one included. Who does not answer within the time is silent; this worker itself may take
        longer, and raise.
        """
        if self._slot is None:
            return Answers({self.number: await self._answers[name](words)})
        others = [each for each in taken(self._slot.directory) if each != self.number]
        mine, said = await asyncio.gather(
            self._answers[name](words), _told(self._slot.directory, others, _Question(name, words), within)
        )
        return Answers(dict(sorted({self.number: mine, **said.told}.items())), said.silent)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Who asks may have left by the time of the answer: what was asked for is done all the same."""
        try:
            question = _question.decode(await reader.read())
            writer.write(_encode(_Answer(await self._answers[question.name](question.words))))
            await writer.drain()
        except (msgspec.DecodeError, KeyError) as error:
            log.warning("sibling_not_understood", reason=f"{type(error).__name__}: {error}")
        except ConnectionError:
            return
        finally:
            writer.close()


async def ask_workers(directory: Path, name: str, words: bytes = b"", *, within: float = WITHIN) -> Answers:
    """Every worker with a slot in the directory, for who is none of them. Their sockets let in their own user only."""
    return await _told(directory, taken(directory), _Question(name, words), within)


class _Question(Struct, frozen=True, array_like=True):
    name: str
    words: bytes


class _Answer(Struct, frozen=True, array_like=True):
    """In a form that tells whether all of it came."""

    said: bytes


class _Silence:
    """Of one that lives and did not answer."""


_SILENT = _Silence()
_question = msgspec.msgpack.Decoder(_Question)
_answer = msgspec.msgpack.Decoder(_Answer)
_encode = msgspec.msgpack.Encoder().encode


async def _told(directory: Path, numbers: Sequence[int], question: _Question, within: float) -> Answers:
    said = await asyncio.gather(*(_of(socket_of(directory, number), question, within) for number in numbers))
    answered = list(zip(numbers, said, strict=True))
    return Answers(
        {number: each for number, each in answered if isinstance(each, bytes)},
        tuple(number for number, each in answered if isinstance(each, _Silence)),
    )


async def _of(socket: Path, question: _Question, within: float) -> "bytes | _Silence | None":
    """None where nobody has that slot now."""
    try:
        async with asyncio.timeout(within):
            return await _asked(str(socket), question)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except (OSError, TimeoutError, msgspec.DecodeError):
        return _SILENT


async def _asked(path: str, question: _Question) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(_encode(question))
        writer.write_eof()
        return _answer.decode(await reader.read()).said
    finally:
        writer.close()
