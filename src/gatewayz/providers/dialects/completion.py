"""Answers in OpenAI's form, whole and as events, of the pieces that a provider's answer is read into."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

DONE = b"data: [DONE]\n\n"

_FIXED = ("role", "index", "type")
"""What every delta may say again."""

_encode = msgspec.json.encode


class Piece(Struct, frozen=True):
    """What the answer number `choice` has more of now: a delta in OpenAI's form, or the reason why it is finished.
    `stopped_by`: the caller's stop sequence that was the reason; OpenAI does not tell it, vLLM calls it `stop_reason`.
    """

    delta: dict[str, Any] = {}
    choice: int = 0
    finish: str | None = None
    stopped_by: str | None = None

    def ending(self) -> dict[str, Any]:
        return {"stop_reason": self.stopped_by} if self.stopped_by is not None else {}


class Counts(Struct, frozen=True, kw_only=True):
    """Tokens, as OpenAI counts them: `prompt` includes what was read from the provider's cache (`cached`) and written
    to it (`cache_write`), `completion` includes `reasoning`, which is None where the provider does not tell it apart.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int | None = None

    def form(self) -> dict[str, Any]:
        form: dict[str, Any] = {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached, "cache_write_tokens": self.cache_write},
        }
        if self.reasoning is not None:
            form["completion_tokens_details"] = {"reasoning_tokens": self.reasoning}
        return form


class Head(Struct, frozen=True):
    """What every part of an answer says. `created`: Unix seconds."""

    id: str
    created: int
    model: str

    def event(self, piece: Piece) -> bytes:
        choice = {"index": piece.choice, "delta": piece.delta, "finish_reason": piece.finish}
        return self._event([choice | piece.ending()])

    def usage_event(self, counts: Counts) -> bytes:
        return self._event([], counts.form())

    def whole(self, pieces: Sequence[Piece], counts: Counts) -> bytes:
        numbers = sorted({piece.choice for piece in pieces})
        choices = [_choice(number, [piece for piece in pieces if piece.choice == number]) for number in numbers]
        return _encode({**self._form("chat.completion"), "choices": choices, "usage": counts.form()})

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        form = {**self._form("chat.completion.chunk"), "choices": choices}
        if usage is not None:
            form["usage"] = usage
        return b"data: " + _encode(form) + b"\n\n"

    def _form(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _choice(number: int, pieces: Sequence[Piece]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    for piece in pieces:
        _join(message, piece.delta)
    for call in message.get("tool_calls", ()):
        del call["index"]
    ending = next((piece for piece in reversed(pieces) if piece.finish), Piece(finish="stop"))
    choice = {"index": number, "message": message, "logprobs": None, "finish_reason": ending.finish}
    return choice | ending.ending()


def _join(form: dict[str, Any], delta: dict[str, Any]) -> None:
    """As clients join them: texts are continued, and in lists what has the same index."""
    for field, more in delta.items():
        known = form.get(field)
        if isinstance(more, list):
            for item in more:
                _join_item(form.setdefault(field, []), item)
        elif known is None:
            form[field] = dict(more) if isinstance(more, dict) else more
        elif isinstance(more, dict):
            _join(known, more)
        elif field not in _FIXED:
            form[field] = known + more


def _join_item(items: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    index = delta.get("index")
    found = next((item for item in items if index is not None and item.get("index") == index), None)
    if found is None:
        found = {}
        items.append(found)
    _join(found, delta)
