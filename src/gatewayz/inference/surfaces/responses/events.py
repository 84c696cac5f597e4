"""A chat's events as those of OpenAI's Responses: each item is added, its parts grow, then they are told whole."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from gatewayz.inference.surfaces.answer import Call, ChatAnswer, ChatEvents, Said
from gatewayz.inference.surfaces.reading import Form
from gatewayz.inference.surfaces.responses.answer import (
    Echo,
    begun,
    called,
    finished,
    message,
    reasoning,
    refusal_part,
    summary_part,
    text_part,
)
from gatewayz.providers.dialects.asked import Thought
from gatewayz.providers.dialects.sse import named_event


class _Thinking:
    """The item of what was thought."""

    def __init__(self, index: int, id_: str, echo: Echo) -> None:
        self.index, self.id, self._echo = index, id_, echo
        self._text = ""
        self.details: list[Thought] = []

    def opened(self) -> Iterator[Form]:
        yield _event("output_item.added", self, item=reasoning(self.id, "", (), self._echo))

    def grown(self, text: str) -> Iterator[Form]:
        if not self._text:
            yield _event("reasoning_summary_part.added", self, summary_index=0, part=summary_part(""))
        self._text += text
        yield _event("reasoning_summary_text.delta", self, summary_index=0, delta=text)

    def whole(self) -> Form:
        return reasoning(self.id, self._text, self.details, self._echo)

    def closed(self) -> Iterator[Form]:
        if self._text:
            yield _event("reasoning_summary_text.done", self, summary_index=0, text=self._text)
            yield _event("reasoning_summary_part.done", self, summary_index=0, part=summary_part(self._text))


class _Message:
    """The item of what is said."""

    def __init__(self, index: int, id_: str) -> None:
        self.index, self.id = index, id_
        self._texts: dict[str, str] = {}

    def opened(self) -> Iterator[Form]:
        yield _event("output_item.added", self, item=message(self.id, [], "in_progress"))

    def grown(self, kind: str, text: str) -> Iterator[Form]:
        if kind not in self._texts:
            self._texts[kind] = ""
            yield _event("content_part.added", self, **self._place(kind), part=_PARTS[kind](""))
        self._texts[kind] += text
        more: Form = {"logprobs": []} if kind == "output_text" else {}
        yield _event(f"{kind}.delta", self, **self._place(kind), delta=text, **more)

    def whole(self) -> Form:
        return message(self.id, [_PARTS[kind](text) for kind, text in self._texts.items()])

    def closed(self) -> Iterator[Form]:
        for kind, text in self._texts.items():
            said: Form = {"text": text, "logprobs": []} if kind == "output_text" else {"refusal": text}
            yield _event(f"{kind}.done", self, **self._place(kind), **said)
            yield _event("content_part.done", self, **self._place(kind), part=_PARTS[kind](text))

    def _place(self, kind: str) -> Form:
        return {"content_index": list(self._texts).index(kind)}


class _Called:
    """The item of a function that is called."""

    def __init__(self, index: int, id_: str, call: Call) -> None:
        self.index, self.id = index, id_
        self._call_id, self._name, self._arguments = call.id or "", call.function.name or "", ""

    def opened(self) -> Iterator[Form]:
        item = called(self.id, self._call_id, self._name, "", "in_progress")
        yield _event("output_item.added", self, item=item)

    def grown(self, arguments: str) -> Iterator[Form]:
        self._arguments += arguments
        yield _event("function_call_arguments.delta", self, delta=arguments)

    def whole(self) -> Form:
        return called(self.id, self._call_id, self._name, self._arguments)

    def closed(self) -> Iterator[Form]:
        yield _event("function_call_arguments.done", self, name=self._name, arguments=self._arguments)


_Item = _Thinking | _Message | _Called


class ResponseEvents:
    """Items are closed when all have come, as calls may come together."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._chat = ChatEvents()
        self._head: ChatAnswer | None = None
        self._items: list[_Item] = []
        self._thinking: _Thinking | None = None
        self._message: _Message | None = None
        self._calls: dict[int, _Called] = {}
        self._finish: str | None = None
        self._number = 0

    def feed(self, chunk: bytes) -> bytes:
        return b"".join(self._written(event) for answer in self._chat.feed(chunk) for event in self._told(answer))

    def end(self) -> bytes:
        self._chat.check_whole()
        events = [*self._begun(ChatAnswer()), *self._all_closed()]
        assert self._head is not None  # noqa: S101  it has begun
        whole = finished(self._head, self._echo, [item.whole() for item in self._items], self._finish)
        kind = "response.completed" if whole["status"] == "completed" else "response.incomplete"
        return b"".join(self._written(event) for event in [*events, {"type": kind, "response": whole}])

    def _told(self, answer: ChatAnswer) -> Iterator[Form]:
        yield from self._begun(answer)
        assert self._head is not None  # noqa: S101  it has begun
        if answer.usage is not None:
            self._head = replace(self._head, usage=answer.usage, gatewayz=answer.gatewayz)
        choice = answer.first
        if choice.delta is not None:
            yield from self._said(choice.delta)
        self._finish = choice.finish_reason or self._finish

    def _begun(self, answer: ChatAnswer) -> Iterator[Form]:
        if self._head is None:
            self._head = answer
            for kind in ("response.created", "response.in_progress"):
                yield {"type": kind, "response": begun(answer, self._echo)}

    def _said(self, said: Said) -> Iterator[Form]:
        if said.thought or said.reasoning_details:
            if self._thinking is None:
                self._thinking = _Thinking(len(self._items), f"rs_{self._suffix}", self._echo)
                yield from self._opened(self._thinking)
            self._thinking.details += said.reasoning_details or ()
            if said.thought:
                yield from self._thinking.grown(said.thought)
        for kind, text in (("output_text", said.content), ("refusal", said.refusal)):
            if text:
                if self._message is None:
                    self._message = _Message(len(self._items), f"msg_{self._suffix}")
                    yield from self._opened(self._message)
                yield from self._message.grown(kind, text)
        for number, call in enumerate(said.tool_calls or ()):
            yield from self._called(number if call.index is None else call.index, call)

    def _called(self, number: int, call: Call) -> Iterator[Form]:
        item = self._calls.get(number)
        if item is None:
            item = self._calls[number] = _Called(len(self._items), f"fc_{self._suffix}_{number}", call)
            yield from self._opened(item)
        if call.function.arguments:
            yield from item.grown(call.function.arguments)

    def _opened(self, item: _Item) -> Iterator[Form]:
        self._items.append(item)
        yield from item.opened()

    def _all_closed(self) -> Iterator[Form]:
        for item in self._items:
            yield from item.closed()
            yield _event("output_item.done", item, item=item.whole())

    @property
    def _suffix(self) -> str:
        return self._head.suffix if self._head is not None else ""

    def _written(self, event: Form) -> bytes:
        numbered = {**event, "sequence_number": self._number}
        self._number += 1
        return named_event(event["type"], msgspec.json.encode(numbered))


_PARTS = {"output_text": text_part, "refusal": refusal_part}


def _event(kind: str, of: _Item, /, **fields: Any) -> Form:  # noqa: ANN401  any JSON
    """What is told of an item; where all of it stands there, its id does."""
    place = {} if "item" in fields else {"item_id": of.id}
    return {"type": f"response.{kind}", **place, "output_index": of.index, **fields}
