"""A dialect whose provider speaks another format than its caller: asked in the one, answered in the other."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import aiohttp
from msgspec import Struct

from gatewayz.core.errors import GatewayzError, InvalidRequest
from gatewayz.core.ids import random_id
from gatewayz.providers.dialects.chat import ChatAnswer, ChatAttempt, Endpoint
from gatewayz.providers.dialects.completion import DONE, Counts, Head, Piece
from gatewayz.providers.dialects.fault import check_is_chat, counts_no_tokens, failed
from gatewayz.providers.dialects.sse import EventParser, EventTooLong, ServerEvent
from gatewayz.providers.dialects.upstream import posted, received, resumed, whole_body

T = TypeVar("T")


class Question(Struct, frozen=True):
    """What to POST: `path` follows the provider's base URL, `body` becomes JSON."""

    path: str
    body: dict[str, Any]


class Reader(Protocol):
    """Reads one answer. It raises ProviderFailed, or InvalidRequest, for what the answer says went wrong, and for what
    is no answer. `answer_id`: the provider's id for it, None before it is known.
    """

    answer_id: str | None
    counts: Counts

    def whole(self, body: bytes) -> Sequence[Piece]:
        """All of it at once, finished."""
        ...

    def event(self, event: ServerEvent) -> Sequence[Piece]:
        """What one event of a stream adds."""
        ...

    def end(self) -> Sequence[Piece]:
        """What is left when the stream has ended. Raises ProviderFailed where it ended too early."""
        ...


class Wire(Protocol):
    """A provider's format."""

    def question(self, attempt: ChatAttempt) -> Question:
        """Raises InvalidRequest for what nobody could read, NotSupported for what has no place in this format."""
        ...

    def reader(self, attempt: ChatAttempt) -> Reader: ...

    def count(self, attempt: ChatAttempt) -> Question:
        """Of how many tokens the prompt is; to be answered as TOKENS is. Raises as `question`, NotSupported where the
        provider counts none.
        """
        ...

    def fault(self, attempt: ChatAttempt, status: int, body: bytes) -> GatewayzError:
        """As upstream.ReadFault."""
        ...


class TranslatedDialect:
    def __init__(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        self._session = session
        self._wire = wire

    @asynccontextmanager
    async def chat(self, attempt: ChatAttempt) -> AsyncIterator[ChatAnswer]:
        if attempt.endpoint is Endpoint.TOKENS:
            yield ChatAnswer("application/json", resumed(await self._counted(attempt)))
            return
        check_is_chat(attempt)
        question = self._wire.question(attempt)
        reader = self._wire.reader(attempt)
        async with posted(self._session, attempt, question.path, question.body, self._wire.fault) as response:
            if attempt.is_streaming:
                events = events_of(attempt, received(attempt, response), reader)
                # Before the answer says something it can still be had elsewhere.
                first = await anext(events)
                yield ChatAnswer("text/event-stream", resumed(first, events), lambda: reader.counts)
            else:
                answer = answer_of(attempt, await whole_body(attempt, response), reader)
                yield ChatAnswer("application/json", resumed(answer))

    async def _counted(self, attempt: ChatAttempt) -> bytes:
        question = self._wire.count(attempt)
        async with posted(self._session, attempt, question.path, question.body, self._count_fault) as response:
            return await whole_body(attempt, response)

    def _count_fault(self, attempt: ChatAttempt, status: int, body: bytes) -> GatewayzError:
        """Counting has limits of its own there, and may be missing: nothing of that is held against its chats."""
        error = self._wire.fault(attempt, status, body)
        return error if isinstance(error, InvalidRequest) else counts_no_tokens(attempt, f"answered {status}")


def answer_of(attempt: ChatAttempt, body: bytes, reader: Reader) -> bytes:
    """A whole answer of the provider's as OpenAI's."""
    pieces = _read(attempt, reader.whole, body)
    return _head(attempt, reader).whole(pieces, reader.counts)


async def events_of(attempt: ChatAttempt, chunks: AsyncIterator[bytes], reader: Reader) -> AsyncIterator[bytes]:
    """OpenAI's events, each as soon as what it says has come. Nothing is ended that broke off."""
    parser, writer = EventParser(), _Writer(attempt, reader)
    async for chunk in chunks:
        for event in _parsed(attempt, parser, chunk):
            if pieces := _read(attempt, reader.event, event):
                yield writer.written(pieces)
    yield writer.written(reader.end()) + writer.end()


class _Writer:
    """Pieces into events."""

    def __init__(self, attempt: ChatAttempt, reader: Reader) -> None:
        self._attempt = attempt
        self._reader = reader
        self._head: Head | None = None
        self._begun: set[int] = set()

    def written(self, pieces: Sequence[Piece]) -> bytes:
        return b"".join(self._known_head().event(self._with_role(piece)) for piece in pieces)

    def end(self) -> bytes:
        return self._known_head().usage_event(self._reader.counts) + DONE

    def _known_head(self) -> Head:
        """From the first event on it stays the same."""
        if self._head is None:
            self._head = _head(self._attempt, self._reader)
        return self._head

    def _with_role(self, piece: Piece) -> Piece:
        """The first of each choice says whose words they are, as OpenAI's does."""
        if piece.choice in self._begun:
            return piece
        self._begun.add(piece.choice)
        return Piece({"role": "assistant", **piece.delta}, piece.choice, piece.finish, piece.stopped_by)


def _read(attempt: ChatAttempt, read: Callable[[T], Sequence[Piece]], said: T) -> Sequence[Piece]:
    """What is passed on as it came, as arguments of tools, was not looked into before."""
    try:
        return read(said)
    except UnicodeDecodeError as error:
        raise failed(attempt, "sent text that is no UTF-8") from error


def _parsed(attempt: ChatAttempt, parser: EventParser, chunk: bytes) -> list[ServerEvent]:
    try:
        return parser.feed(chunk)
    except EventTooLong as error:
        raise failed(attempt, "sent an event without an end") from error


def _head(attempt: ChatAttempt, reader: Reader) -> Head:
    return Head(reader.answer_id or random_id("chatcmpl"), int(time.time()), attempt.native_id)
