"""A chat's answer, whole or as events, as surfaces read it."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from gatewayz.core.errors import ProviderFailed
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.inference.told_usage import ToldUsage
from gatewayz.providers.dialects.asked import Thought
from gatewayz.providers.dialects.sse import EventParser, EventTooLong


class Called(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class Call(Struct, frozen=True, kw_only=True):
    index: int | None = None
    id: str | None = None
    function: Called = Called()


class Said(Struct, frozen=True, kw_only=True):
    """A message, or what a stream has more of it."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Thought] | None = None
    tool_calls: list[Call] | None = None

    @property
    def thought(self) -> str:
        """Reasoning as people read it, by either of its two names."""
        return self.reasoning_content or self.reasoning or ""


class Choice(Struct, frozen=True, kw_only=True):
    """`stop_reason`: the stop sequence that ended it, where the provider tells."""

    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class ChatAnswer(Struct, frozen=True, kw_only=True):
    """A completion, or one event of its stream. `gatewayz`: what we say of an answer that was kept."""

    id: str = ""
    created: int = 0
    model: str = ""
    choices: list[Choice] = []
    usage: ToldUsage | None = None
    gatewayz: Any = None
    error: Raw | None = None

    @property
    def first(self) -> Choice:
        return self.choices[0] if self.choices else Choice()

    @property
    def suffix(self) -> str:
        """The id without what says that it is a chat's."""
        return self.id.removeprefix("chatcmpl").lstrip("-_") or self.id


_decode = msgspec.json.Decoder(ChatAnswer, strict=False).decode


def whole_answer(body: bytes) -> ChatAnswer:
    """Raises ProviderFailed where it is none."""
    answer = _decoded(body)
    if answer.first.message is None:
        raise ProviderFailed("the provider sent an answer without a message; send the request again")
    return answer


class ChatEvents:
    """The events of a chat's stream, of bytes that may be split anywhere."""

    def __init__(self) -> None:
        self._parser = EventParser()
        self._is_done = False

    def feed(self, chunk: bytes) -> list[ChatAnswer]:
        """Raises ProviderFailed where the stream tells of an error, or is none."""
        try:
            events = self._parser.feed(chunk)
        except EventTooLong as error:
            raise ProviderFailed("the provider sent an event without an end") from error
        found: list[ChatAnswer] = []
        for event in events:
            if event.data.strip() == b"[DONE]":
                self._is_done = True
            else:
                found.append(_decoded(event.data))
        return found

    def check_whole(self) -> None:
        """At the end of the stream. Raises ProviderFailed where it ended too early."""
        if not self._is_done:
            raise ProviderFailed("the provider ended its stream before its answer was whole")


def _decoded(body: bytes) -> ChatAnswer:
    try:
        answer = _decode(body)
    except UNREADABLE as error:
        raise ProviderFailed("the provider sent what is no answer in OpenAI's form") from error
    if answer.error is not None and answer.error != b"null":
        raise ProviderFailed("the provider broke off with an error; send the request again")
    return answer
