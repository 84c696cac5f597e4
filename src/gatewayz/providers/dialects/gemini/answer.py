"""Gemini's answers into pieces of OpenAI's: a whole one has the form of a stream's one event."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gatewayz.core.errors import ErrorKind
from gatewayz.core.ids import random_id
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.providers.dialects.asked import ABSENT
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.completion import Counts, Piece
from gatewayz.providers.dialects.fault import blamed, failed
from gatewayz.providers.dialects.gemini.errors import error_of
from gatewayz.providers.dialects.sse import ServerEvent

FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"),
        "content_filter",
    ),
}
"""By `finishReason`."""
BROKEN = (
    *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    *("MALFORMED_RESPONSE", "OTHER", "NO_IMAGE", "IMAGE_OTHER"),
)
"""Reasons for which there is no answer: it may go well elsewhere, or another time."""


class _Data(Struct, frozen=True, rename="camel"):
    mime_type: str = ""
    data: str = ""


class _Call(Struct, frozen=True):
    name: str
    args: Raw = Raw(b"{}")
    id: str = ""


class _Part(Struct, frozen=True, rename="camel"):
    text: str = ""
    thought: bool = False
    thought_signature: str = ""
    function_call: _Call | None = None
    inline_data: _Data | None = None


class _Content(Struct, frozen=True):
    parts: list[_Part] = []


class _Candidate(Struct, frozen=True, rename="camel"):
    index: int = 0
    content: _Content = _Content()
    finish_reason: str | None = None
    finish_message: str = ""


class _Usage(Struct, frozen=True, rename="camel"):
    prompt_token_count: int = 0
    tool_use_prompt_token_count: int = 0
    cached_content_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0


class _Feedback(Struct, frozen=True, rename="camel"):
    block_reason: str | None = None


class _Answer(Struct, frozen=True, rename="camel"):
    candidates: list[_Candidate] = []
    usage_metadata: _Usage | None = None
    prompt_feedback: _Feedback | None = None
    response_id: str | None = None
    error: Raw = ABSENT


class ContentReader:
    def __init__(self, attempt: ChatAttempt) -> None:
        self.answer_id: str | None = None
        self.counts = Counts()
        self._attempt = attempt
        self._calls: dict[int, int] = {}
        self._is_finished: dict[int, bool] = {}

    def whole(self, body: bytes) -> Sequence[Piece]:
        pieces = self._read(body)
        self.end()
        return pieces

    def event(self, event: ServerEvent) -> Sequence[Piece]:
        return self._read(event.data)

    def end(self) -> Sequence[Piece]:
        if not self._is_finished or not all(self._is_finished.values()):
            raise failed(self._attempt, "ended before its answer was whole")
        return []

    def _read(self, body: bytes) -> list[Piece]:
        try:
            read = msgspec.json.decode(body, type=_Answer)
        except UNREADABLE as error:
            raise failed(self._attempt, "sent what is no answer in Gemini's form") from error
        if read.error != ABSENT:
            raise error_of(self._attempt, body)
        if read.prompt_feedback is not None and read.prompt_feedback.block_reason is not None:
            reason = read.prompt_feedback.block_reason
            raise blamed(self._attempt, f"refuses the messages ({reason})", kind=ErrorKind.CONTENT_FILTER)
        self.answer_id = self.answer_id or read.response_id
        if read.usage_metadata is not None:
            self.counts = _counts(read.usage_metadata)
        return [piece for candidate in read.candidates for piece in self._pieces(candidate)]

    def _pieces(self, candidate: _Candidate) -> list[Piece]:
        index = candidate.index
        self._is_finished.setdefault(index, False)
        pieces = [Piece(delta, index) for part in candidate.content.parts for delta in self._deltas(index, part)]
        reason = candidate.finish_reason
        if reason in BROKEN:
            raise failed(self._attempt, f"gave up on its answer ({reason})", candidate.finish_message)
        if reason is not None:
            self._is_finished[index] = True
            finish = FINISH.get(reason, "stop")
            pieces.append(Piece({}, index, "tool_calls" if finish == "stop" and index in self._calls else finish))
        return pieces

    def _deltas(self, index: int, part: _Part) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = []
        if part.text:
            deltas.append({"reasoning_content" if part.thought else "content": part.text})
        if part.inline_data is not None:
            url = f"data:{part.inline_data.mime_type};base64,{part.inline_data.data}"
            deltas.append({"images": [{"type": "image_url", "image_url": {"url": url}}]})
        if part.function_call is not None:
            deltas += self._calling(index, part.function_call, part.thought_signature)
        return deltas

    def _calling(self, index: int, call: _Call, signature: str) -> list[dict[str, Any]]:
        number = self._calls.get(index, 0)
        self._calls[index] = number + 1
        function = {"name": call.name, "arguments": bytes(call.args).decode()}
        form = {"index": number, "id": call.id or random_id("call"), "type": "function", "function": function}
        if signature:
            # Where Google's own OpenAI path has it; it is to be sent back with the call.
            form["extra_content"] = {"google": {"thought_signature": signature}}
        return [{"tool_calls": [form]}]


def _counts(usage: _Usage) -> Counts:
    prompt = max(0, usage.prompt_token_count) + max(0, usage.tool_use_prompt_token_count)
    thoughts = max(0, usage.thoughts_token_count)
    return Counts(
        prompt=prompt,
        completion=max(0, usage.candidates_token_count) + thoughts,
        cached=max(0, usage.cached_content_token_count),
        reasoning=thoughts,
    )
