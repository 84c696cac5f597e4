"""Server-sent events of a chat completion: read one by one, and put together to the answer that they are parts of."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from gatewayz.core.unreadable import UNREADABLE
from gatewayz.responses.reasons import NotKept, Reason

_EVENT_END = re.compile(rb"\r?\n\r?\n")
_LINE_END = re.compile(rb"\r?\n")
_USAGE = re.compile(rb'"usage"\s*:\s*\{')

Json = dict[str, Any]


def split_events(data: bytes) -> list[bytes]:
    """Each event with the empty line that ends it; the last may lack it."""
    ends = [each.end() for each in _EVENT_END.finditer(data)]
    starts = [0, *ends]
    return [data[start:end] for start, end in zip(starts, [*ends, len(data)], strict=True) if end > start]


def may_tell_usage(data: bytes) -> bool:
    """False: it certainly does not."""
    return _USAGE.search(data) is not None


def tells_usage_only(event: bytes) -> bool:
    """Whether it holds nothing but what was used, so that who did not ask for that is spared it."""
    if not may_tell_usage(event):
        return False
    try:
        form = msgspec.json.decode(data_of(event))
    except UNREADABLE:
        return False
    return isinstance(form, dict) and bool(form.get("usage")) and not form.get("choices")


def data_of(event: bytes) -> bytes:
    """Empty for comments."""
    lines = [line[5:].removeprefix(b" ") for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines)


def assembled(stream: bytes, *, is_whole: bool = True) -> Json:
    """The whole answer of a stream that was seen to its end, without an `id`. Raises NotKept for one that ended early
    (unless it need not be `is_whole`), that tells of an error, or that holds what cannot be put together.
    """
    answer: Json = {"object": "chat.completion"}
    choices: dict[int, Json] = {}
    for chunk in chunks_in(stream, is_whole=is_whole):
        if chunk.get("error"):
            raise NotKept(Reason.ERROR)
        answer |= {name: value for name, value in chunk.items() if name not in _NOT_COPIED and value is not None}
        for part in chunk.get("choices") or ():
            _join(choices, part)
    answer["choices"] = [choices[index] for index in sorted(choices)]
    return answer


_NOT_COPIED = ("id", "object", "choices", "error")


def chunks_in(stream: bytes, *, is_whole: bool) -> Iterator[Json]:
    is_ended = not is_whole
    for event in split_events(stream):
        data = data_of(event)
        if not data:
            continue
        if data.strip() == b"[DONE]":
            is_ended = True
            break
        try:
            chunk = msgspec.json.decode(data)
        except UNREADABLE as error:
            raise NotKept(Reason.BROKEN) from error
        if not isinstance(chunk, dict):
            raise NotKept(Reason.BROKEN)
        yield chunk
    if not is_ended:
        raise NotKept(Reason.NOT_ENDED)


def _join(choices: dict[int, Json], part: Any) -> None:  # noqa: ANN401  any JSON
    index = part.get("index", 0) if isinstance(part, dict) else None
    if not isinstance(index, int):
        raise NotKept(Reason.BROKEN)
    choice = choices.setdefault(index, {"index": index, "message": {"role": "assistant"}, "finish_reason": None})
    for name, value in part.items():
        if name == "delta":
            _join_members(choice["message"], value or {})
        elif name == "logprobs":
            _join_members(choice.setdefault("logprobs", {}), value or {})
        elif value is not None:
            choice[name] = value


def _join_members(whole: Json, delta: Any) -> None:  # noqa: ANN401  any JSON
    """Text and lists grow, what else there is stands once. Raises NotKept where it is not known how parts join."""
    if not isinstance(delta, dict):
        raise NotKept(Reason.BROKEN)
    for name, value in delta.items():
        if value is None:
            whole.setdefault(name, None)
        elif name in _STANDS_ONCE:
            whole[name] = whole.get(name) or value
        elif name == "tool_calls":
            whole[name] = _joined_by_index(whole.get(name) or [], value)
        elif isinstance(value, str):
            whole[name] = (whole.get(name) or "") + value
        elif isinstance(value, list):
            whole[name] = [*(whole.get(name) or []), *value]
        elif name in _PARTS:
            inner = whole.get(name) or {}
            _join_members(inner, value)
            whole[name] = inner
        elif whole.get(name) in (None, value):
            whole[name] = value
        else:
            raise NotKept(Reason.UNKNOWN_FORM)


_STANDS_ONCE = ("role", "id", "type", "name")
_PARTS = ("function", "function_call", "custom")


def _joined_by_index(calls: list[Json], parts: Any) -> list[Json]:  # noqa: ANN401  any JSON
    if not isinstance(parts, list):
        raise NotKept(Reason.BROKEN)
    by_index = dict(enumerate(calls))
    for part in parts:
        index = part.get("index", len(by_index)) if isinstance(part, dict) else None
        if not isinstance(index, int) or index > len(by_index):
            raise NotKept(Reason.BROKEN)
        _join_members(by_index.setdefault(index, {}), {name: each for name, each in part.items() if name != "index"})
    return list(by_index.values())
