"""The caller's fields, for a wire format in which each has to find its place."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import not_supported

T = TypeVar("T")

HINTS = (
    # Of the request, not of its answer.
    *("model", "stream", "stream_options", "store", "metadata", "prompt_cache_key", "prompt_cache_retention"),
    *("safety_identifier", "user"),
    "prediction",  # makes an answer quicker, not different
)
"""Fields without which the answer is what it would be with them: left out where a format has no place for them."""


ABSENT = Raw(b"null")


class Url(Struct, frozen=True):
    url: str


class Audio(Struct, frozen=True):
    data: str
    format: str


class File(Struct, frozen=True):
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class Part(Struct, frozen=True, kw_only=True):
    """A part of a message's content. Which fields are there depends on `type`."""

    type: str
    text: str | None = None
    image_url: Url | str | None = None
    input_audio: Audio | None = None
    file: File | None = None
    refusal: str | None = None
    cache_control: Any = None


class Called(Struct, frozen=True):
    """`arguments` is JSON, inside a string."""

    name: str
    arguments: str = ""


class ToolCall(Struct, frozen=True, kw_only=True):
    id: str
    type: str = "function"
    function: Called | None = None
    extra_content: Any = None
    cache_control: Any = None


class Thought(Struct, frozen=True, kw_only=True):
    """A piece of reasoning, to go back to whom `format` tells. Pieces of one have the same index."""

    format: str | None = None
    index: int | None = None
    text: str | None = None
    signature: str | None = None
    data: str | None = None


class Message(Struct, frozen=True, kw_only=True):
    """`is_error`: of a tool's result, where its caller can say so, as Anthropic's can."""

    role: str
    content: str | list[Part] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_details: list[Thought] | None = None
    is_error: bool | None = None
    cache_control: Any = None

    def parts(self) -> list[Part]:
        """The content, a text as the one part that it is; none where it is empty."""
        if isinstance(self.content, list):
            return self.content
        return [Part(type="text", text=self.content)] if self.content else []

    def text(self) -> str:
        """All text of the content, without what else there is."""
        return "".join(part.text or "" for part in self.parts() if part.type == "text")


class Function(Struct, frozen=True, kw_only=True):
    name: str
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None
    cache_control: Any = None


class Tool(Struct, frozen=True, kw_only=True):
    """A function, or where `type` says otherwise what only the provider knows."""

    type: str = ""
    function: Function | None = None
    cache_control: Any = None


class Refusal(Struct, frozen=True):
    """`values` of a field ask for nothing; any other is refused, as the provider `cannot`."""

    cannot: str
    remedy: str
    values: tuple[Any, ...] = ()


class Asked:
    """Each field is taken once. `rest` is what nobody took, which goes to the provider as it came."""

    def __init__(self, attempt: ChatAttempt) -> None:
        self._attempt = attempt
        self._left = {name: raw for name, raw in attempt.body.items() if raw != ABSENT}

    def take(self, field: str, kind: type[T]) -> T | None:
        """The field's value, None without one. Raises InvalidRequest where it is of another kind."""
        raw = self._left.pop(field, None)
        return None if raw is None else read(field, raw, kind)

    def text_or(self, field: str, kind: type[T]) -> str | T | None:
        """As take, where a text may stand in its place."""
        raw = self._left.pop(field, None)
        if raw is None:
            return None
        return read(field, raw, str) if bytes(raw).startswith(b'"') else read(field, raw, kind)

    def stops(self) -> list[str]:
        stop = self.text_or("stop", list[str]) or []
        return [stop] if isinstance(stop, str) else stop

    def most_output(self) -> int | None:
        """The tokens that the answer may have, by the field's new name or its old one."""
        new, old = self.take("max_completion_tokens", int), self.take("max_tokens", int)
        return old if new is None else new

    def raw(self, field: str) -> Raw | None:
        """The field as it came."""
        return self._left.pop(field, None)

    def leave_out(self, fields: Iterable[str]) -> None:
        for field in fields:
            self._left.pop(field, None)

    def refuse(self, refusals: Mapping[str, Refusal]) -> None:
        """Raises NotSupported that names the first field that asks for what the provider cannot do."""
        for field, refusal in refusals.items():
            raw = self._left.pop(field, None)
            if raw is not None and read(field, raw, object) not in refusal.values:
                raise not_supported(self._attempt, field, refusal.cannot, refusal.remedy)

    @property
    def rest(self) -> dict[str, Raw]:
        return self._left


def read(field: str, raw: Raw, kind: type[T]) -> T:
    """Raises InvalidRequest that names the field and the place in it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE as error:
        raise InvalidRequest(f"{field!r} cannot be read: {error}", param=field) from error


def arguments_of(call: ToolCall) -> dict[str, Raw]:
    """What an assistant's message called a function with. Raises InvalidRequest where that is no JSON object."""
    written = call.function.arguments if call.function is not None else ""
    if not written.strip():
        return {}
    try:
        return msgspec.json.decode(written, type=dict[str, Raw])
    except UNREADABLE as error:
        raise InvalidRequest(
            f"the arguments of the tool call {call.id!r} in 'messages' are no JSON object; send them as they came",
            param="messages",
        ) from error
