"""A chat's events as Anthropic's: a message is opened, then its blocks one by one, and both are closed."""

from collections.abc import Iterator

import msgspec

from gatewayz.inference.surfaces.answer import Call, ChatAnswer, ChatEvents, Choice, Said
from gatewayz.inference.surfaces.messages.answer import ending_of, head_of, usage_of
from gatewayz.inference.surfaces.reading import Form
from gatewayz.inference.told_usage import ToldUsage
from gatewayz.providers.dialects.anthropic.answer import REASONING_FORM
from gatewayz.providers.dialects.asked import Thought
from gatewayz.providers.dialects.sse import named_event

_Name = tuple[str, int]
"""A block by its kind, and its number among those of its kind."""


class MessageEvents:
    def __init__(self) -> None:
        self._chat = ChatEvents()
        self._is_begun = False
        self._blocks: dict[_Name, int] = {}
        self._open: int | None = None
        self._count = 0
        self._has_details = False
        self._ending = Choice(finish_reason=None)
        self._usage: ToldUsage | None = None

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(_written(event) for answer in self._chat.feed(chunk) for event in self._told(answer))

    def end(self) -> bytes:
        self._chat.check_whole()
        events = [*self._begun(ChatAnswer()), *self._closed()]
        events += [
            {"type": "message_delta", "delta": ending_of(self._ending), "usage": usage_of(self._usage)},
            {"type": "message_stop"},
        ]
        return b"".join(_written(event) for event in events)

    def _told(self, answer: ChatAnswer) -> Iterator[Form]:
        yield from self._begun(answer)
        if answer.usage is not None:
            self._usage = answer.usage
        choice = answer.first
        if choice.delta is not None:
            yield from self._said(choice.delta)
        if choice.finish_reason is not None:
            self._ending = choice

    def _begun(self, answer: ChatAnswer) -> Iterator[Form]:
        """What was read is told at the end, as a chat tells it there."""
        if self._is_begun:
            return
        self._is_begun = True
        empty: Form = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage_of(None)}
        yield {"type": "message_start", "message": {**head_of(answer), **empty}}

    def _said(self, said: Said) -> Iterator[Form]:
        for thought in said.reasoning_details or ():
            yield from self._thought(thought)
        if said.thought and not self._has_details:
            yield from self._grown(("thinking", 0), "thinking_delta", "thinking", said.thought)
        for text in (said.content, said.refusal):
            if text:
                yield from self._grown(("text", 0), "text_delta", "text", text)
        for number, call in enumerate(said.tool_calls or ()):
            yield from self._called(number if call.index is None else call.index, call)

    def _thought(self, thought: Thought) -> Iterator[Form]:
        """Claude's only: others' do not go back in this form. What it is is said with its first piece."""
        name = ("thinking", thought.index or 0)
        if thought.format != REASONING_FORM and not (self._has_details and name in self._blocks):
            return
        self._has_details = True
        if thought.data:
            name = ("redacted_thinking", thought.index or 0)
            yield from self._opened(name, {"type": "redacted_thinking", "data": thought.data})
            return
        if name not in self._blocks:
            yield from self._opened(name, _EMPTY["thinking"])
        index = self._blocks[name]
        if thought.text:
            yield _delta(index, {"type": "thinking_delta", "thinking": thought.text})
        if thought.signature:
            yield _delta(index, {"type": "signature_delta", "signature": thought.signature})

    def _grown(self, name: _Name, kind: str, field: str, text: str) -> Iterator[Form]:
        if self._blocks.get(name) != self._open or self._open is None:
            yield from self._opened(name, _EMPTY[name[0]])
        yield _delta(self._blocks[name], {"type": kind, field: text})

    def _called(self, number: int, call: Call) -> Iterator[Form]:
        name = ("tool_use", number)
        if name not in self._blocks:
            block = {"id": call.id or f"toolu_{number}", "name": call.function.name or "", "input": {}}
            yield from self._opened(name, {"type": "tool_use", **block})
        if call.function.arguments:
            index = self._blocks[name]
            yield _delta(index, {"type": "input_json_delta", "partial_json": call.function.arguments})

    def _opened(self, name: _Name, block: Form) -> Iterator[Form]:
        """One block is open at a time."""
        yield from self._closed()
        index = self._count
        self._count += 1
        self._blocks[name] = self._open = index
        yield {"type": "content_block_start", "index": index, "content_block": block}

    def _closed(self) -> Iterator[Form]:
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._open}
            self._open = None


_EMPTY: dict[str, Form] = {
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
    "text": {"type": "text", "text": ""},
}


def _delta(index: int, delta: Form) -> Form:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _written(event: Form) -> bytes:
    return named_event(event["type"], msgspec.json.encode(event))
