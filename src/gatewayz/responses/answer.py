"""A complete answer as it is kept: encoded in both forms, but for its id and its time, which everybody gets anew."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gatewayz.core.unreadable import UNREADABLE
from gatewayz.providers.dialects.completion import DONE
from gatewayz.responses.eligibility import check_complete
from gatewayz.responses.events import Json, assembled
from gatewayz.responses.reasons import NotKept, Reason

_encode = msgspec.json.encode
_NOTHING_USED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
_ANEW = ("id", "created", "usage", "object")


class Origin(Struct, frozen=True, kw_only=True):
    """Who gave an answer, and what that took: tokens, nano-dollars, and seconds."""

    model: str
    provider: str
    native_id: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int = 0
    seconds: float = 0.0


class CachedAnswer(Struct, frozen=True, kw_only=True):
    """`whole` and each of `pieces` (the events of a stream) lack what `as_whole` and `as_stream` put before them;
    `usage_piece` is the event for those who asked what was used. `created`: Unix seconds. `ttl`: for how many seconds
    it is good.
    """

    origin: Origin
    created: float
    ttl: float
    whole: bytes
    pieces: tuple[bytes, ...]
    usage_piece: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.whole) + sum(map(len, self.pieces))

    def as_whole(self, id: str, now: int) -> bytes:  # noqa: A002  what it is called
        return b'{"id":"%b","created":%d,%b' % (id.encode(), now, self.whole)

    def as_stream(self, id: str, now: int, *, shows_usage: bool) -> bytes:  # noqa: A002  what it is called
        """All events."""
        head = b'data: {"id":"%b","created":%d,' % (id.encode(), now)
        pieces = (b"", *self.pieces, self.usage_piece) if shows_usage else (b"", *self.pieces)
        return head.join(pieces) + DONE


def whole_of(body: bytes) -> Json:
    """An answer that came whole. Raises NotKept where it is none."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise NotKept(Reason.BROKEN) from error
    if not isinstance(answer, dict):
        raise NotKept(Reason.BROKEN)
    return answer


def seen(body: bytes, *, is_stream: bool) -> Json:
    """What was answered, from all bytes of it. Raises NotKept."""
    return assembled(body) if is_stream else whole_of(body)


def kept_form(
    answer: Json, origin: Origin, *, created: float, ttl: float, choices: int, most_bytes: int
) -> CachedAnswer:
    """Raises NotKept for an answer that is not complete, or too large."""
    check_complete(answer, choices=choices)
    used = answer.get("usage") or {}
    ours = {"cached_usage": used, "provider": origin.provider}
    rest = {name: value for name, value in answer.items() if name not in _ANEW}
    whole = {"object": "chat.completion", **rest, "usage": _NOTHING_USED, "gatewayz": ours}
    encoded = _encode(whole)[1:]
    if len(encoded) > most_bytes:
        raise NotKept(Reason.TOO_LARGE)
    head = {"object": "chat.completion.chunk", **{name: value for name, value in rest.items() if name != "choices"}}
    return CachedAnswer(
        origin=origin,
        created=created,
        ttl=ttl,
        whole=encoded,
        pieces=tuple(_piece({**head, "choices": [part]}) for part in chunks_of(answer["choices"])),
        usage_piece=_piece({**head, "choices": [], "usage": _NOTHING_USED, "gatewayz": ours}),
    )


def _piece(chunk: Json) -> bytes:
    return _encode(chunk)[1:] + b"\n\n"


def chunks_of(choices: Sequence[Mapping[str, Any]]) -> list[Json]:
    """What a stream of these choices says, one after the other: who speaks, what, and why it ended."""
    parts: list[Json] = []
    for choice in choices:
        message = dict(choice["message"])
        if isinstance(message.get("tool_calls"), list):
            message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
        index = choice.get("index", 0)
        role = {"role": message.pop("role", "assistant")}
        opening = {**role, "content": ""} if isinstance(message.get("content"), str) else role
        said: Json = {"index": index, "delta": message, "finish_reason": None}
        if choice.get("logprobs") is not None:
            said["logprobs"] = choice["logprobs"]
        parts += [{"index": index, "delta": opening, "finish_reason": None}, said]
        ending = {name: each for name, each in choice.items() if name not in ("message", "logprobs", "index")}
        parts.append({"index": index, "delta": {}, **ending})
    return parts
