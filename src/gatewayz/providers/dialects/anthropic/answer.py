"""Anthropic's answers into pieces of OpenAI's: a whole message is read as the stream that it could have been."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from gatewayz.core.unreadable import UNREADABLE
from gatewayz.providers.dialects.anthropic.errors import error_of
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.completion import Counts, Piece
from gatewayz.providers.dialects.fault import failed
from gatewayz.providers.dialects.sse import ServerEvent

T = TypeVar("T")

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""By `stop_reason`; what is not here is "stop"."""
REASONING_FORM = "anthropic-claude-v1"
"""How OpenRouter names the form of reasoning that only Claude can be sent back."""


class _Usage(Struct, frozen=True):
    """A number that an event does not say stays as it was."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Block(Struct, frozen=True):
    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Message(Struct, frozen=True):
    id: str | None = None
    content: list[_Block] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: _Usage = _Usage()


class _Delta(Struct, frozen=True):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(Struct, frozen=True):
    type: str
    index: int = 0
    message: _Message = _Message()
    content_block: _Block | None = None
    delta: _Delta = _Delta()
    usage: _Usage = _Usage()


class MessageReader:
    def __init__(self, attempt: ChatAttempt) -> None:
        self.answer_id: str | None = None
        self.counts = Counts()
        self._attempt = attempt
        self._usage: dict[str, int] = {}
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, int] = {}
        self._has_arguments: set[int] = set()
        self._is_finished = False
        self._is_ended = False

    def whole(self, body: bytes) -> Sequence[Piece]:
        message = self._decoded(body, _Message)
        if message.stop_reason is None:
            raise failed(self._attempt, "sent an answer that does not say why it ended")
        self._begin(message)
        pieces: list[Piece] = []
        for index, block in enumerate(message.content):
            pieces += self._opened(index, block)
            if index in self._calls:
                pieces += self._argued(index, bytes(block.input).decode())
        return [*pieces, self._finished(message.stop_reason, message.stop_sequence)]

    def event(self, event: ServerEvent) -> Sequence[Piece]:
        read = self._decoded(event.data, _Event)
        match read.type:
            case "message_start":
                self._begin(read.message)
            case "content_block_start" if read.content_block is not None:
                return self._opened(read.index, read.content_block)
            case "content_block_delta":
                return self._continued(read.index, read.delta)
            case "content_block_stop" if read.index in self._calls and read.index not in self._has_arguments:
                return self._argued(read.index, "{}")
            case "message_delta":
                self._count(read.usage)
                if read.delta.stop_reason is not None:
                    return [self._finished(read.delta.stop_reason, read.delta.stop_sequence)]
            case "message_stop":
                self._is_ended = True
            case "error":
                raise error_of(self._attempt, event.data)
        return []  # others, such as `ping`, say nothing; the API may add to them

    def end(self) -> Sequence[Piece]:
        if not (self._is_ended and self._is_finished):
            raise failed(self._attempt, "ended its stream before its answer was whole")
        return []

    def _begin(self, message: _Message) -> None:
        self.answer_id = message.id
        self._count(message.usage)

    def _opened(self, index: int, block: _Block) -> list[Piece]:
        """What a block says at its start; in a stream this is next to nothing."""
        match block.type:
            case "text":
                return _said("content", block.text)
            case "thinking":
                said = _said("reasoning_content", block.thinking)
                signed = {"signature": block.signature} if block.signature else {}
                return [
                    *said,
                    self._thought(index, "reasoning.text", format=REASONING_FORM, text=block.thinking, **signed),
                ]
            case "redacted_thinking":
                return [self._thought(index, "reasoning.encrypted", format=REASONING_FORM, data=block.data)]
            case "tool_use":
                number = self._calls[index] = len(self._calls)
                function = {"name": block.name, "arguments": ""}
                return [_calling({"index": number, "id": block.id, "type": "function", "function": function})]
        return []

    def _continued(self, index: int, delta: _Delta) -> list[Piece]:
        match delta.type:
            case "text_delta":
                return _said("content", delta.text)
            case "thinking_delta":
                said = _said("reasoning_content", delta.thinking)
                return [*said, self._thought(index, "reasoning.text", text=delta.thinking)] if said else []
            case "signature_delta":
                return [self._thought(index, "reasoning.text", signature=delta.signature)]
            case "input_json_delta" if index in self._calls and delta.partial_json:
                return self._argued(index, delta.partial_json)
        return []

    def _thought(self, index: int, kind: str, **fields: str) -> Piece:
        """Reasoning as it has to be sent back, beside the text that people read. Clients join the texts of those with
        the same number, so the `format` is said once; and they want the numbers without a gap.
        """
        number = self._thoughts.setdefault(index, len(self._thoughts))
        return Piece({"reasoning_details": [{"type": kind, "index": number, **fields}]})

    def _argued(self, index: int, text: str) -> list[Piece]:
        self._has_arguments.add(index)
        return [_calling({"index": self._calls[index], "function": {"arguments": text}})]

    def _finished(self, reason: str, stopped_by: str | None) -> Piece:
        self._is_finished = True
        return Piece(finish=FINISH.get(reason, "stop"), stopped_by=stopped_by)

    def _count(self, usage: _Usage) -> None:
        """The counts of later events are those of all so far."""
        self._usage |= {
            name: max(0, count) for name, count in msgspec.structs.asdict(usage).items() if count is not None
        }
        known = self._usage.get
        read, written = known("cache_read_input_tokens", 0), known("cache_creation_input_tokens", 0)
        self.counts = Counts(
            prompt=known("input_tokens", 0) + read + written,
            completion=known("output_tokens", 0),
            cached=read,
            cache_write=written,
        )

    def _decoded(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except UNREADABLE as error:
            raise failed(self._attempt, "sent what is no answer in Anthropic's form") from error


def _said(field: str, text: str) -> list[Piece]:
    return [Piece({field: text})] if text else []


def _calling(call: dict[str, Any]) -> Piece:
    return Piece({"tool_calls": [call]})
