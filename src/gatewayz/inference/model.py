"""What the gateway itself reads of a request; all other fields go to the provider as they came."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.providers.dialects.chat import Endpoint
from gatewayz.responses.canonical import NoCanonicalForm, decoded
from gatewayz.responses.items import items_of

OWN_FIELDS = ("provider", "models", "cache")
"""Of a request's body they are for the gateway: no provider is sent them."""


class _StreamOptions(Struct):
    include_usage: bool | None = False


class _ReadFields(Struct):
    model: str
    stream: bool | None = False
    stream_options: _StreamOptions | None = None


class _ReadChat(_ReadFields, kw_only=True):
    messages: list[Any]


class _ReadCompletion(_ReadFields, kw_only=True):
    prompt: str | list[Any]


class _ReadEmbedding(Struct):
    model: str
    input: str | list[Any]


Read = TypeVar("Read", _ReadChat, _ReadCompletion, _ReadEmbedding)


class ChatRequest(Struct, frozen=True, kw_only=True):
    """`shows_usage`: the caller wants a stream to end with what it used. `body`: its fields, each still encoded.
    `values`: the same decoded, where somebody will look at all of them and they can be told in one way only. `prompts`:
    how many are to be completed.
    """

    model: str
    is_streaming: bool
    shows_usage: bool
    body: dict[str, msgspec.Raw]
    values: dict[str, Any] | None = None
    endpoint: Endpoint = Endpoint.CHAT
    prompts: int = 1

    def upstream_body(self) -> dict[str, msgspec.Raw]:
        """The same for a provider, who is not sent what concerns the gateway alone, and must always say what a stream
        used.
        """
        body = {name: raw for name, raw in self.body.items() if name not in OWN_FIELDS}
        if not self.is_streaming or self.shows_usage:
            return body
        options = body.get("stream_options")
        given = (msgspec.json.decode(options) if options is not None else None) or {}
        return {**body, "stream_options": msgspec.Raw(msgspec.json.encode({**given, "include_usage": True}))}


def parse_chat_request(body: bytes) -> ChatRequest:
    """Raises InvalidRequest that names the field."""
    read, fields, values = _read_whole(body, _ReadChat, "a chat request")
    if not read.messages:
        raise InvalidRequest("'messages' must hold at least one message", param="messages")
    return ChatRequest(
        model=read.model,
        is_streaming=bool(read.stream),
        shows_usage=_shows_usage(read.stream_options),
        body=fields,
        values=values,
    )


def parse_completion_request(body: bytes) -> ChatRequest:
    """Of bare text. Raises InvalidRequest that names the field."""
    read, fields = _read(body, _ReadCompletion, "a completion request")
    return ChatRequest(
        model=read.model,
        is_streaming=bool(read.stream),
        shows_usage=_shows_usage(read.stream_options),
        body=fields,
        endpoint=Endpoint.COMPLETIONS,
        prompts=_number_of(read.prompt, "prompt"),
    )


def parse_embedding_request(body: bytes) -> ChatRequest:
    """Raises InvalidRequest that names the field."""
    read, fields, values = _read_whole(body, _ReadEmbedding, "an embedding request")
    return ChatRequest(
        model=read.model,
        is_streaming=False,
        shows_usage=False,
        body=fields,
        values=values,
        endpoint=Endpoint.EMBEDDINGS,
        prompts=_number_of(read.input, "input"),
    )


def _read(body: bytes, kind: type[Read], what: str) -> tuple[Read, dict[str, msgspec.Raw]]:
    try:
        return msgspec.json.decode(body, type=kind), msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except UNREADABLE as error:
        raise _refusal(error, what) from error


def _read_whole(
    body: bytes, kind: type[Read], what: str
) -> tuple[Read, dict[str, msgspec.Raw], dict[str, Any] | None]:  # fmt: skip
    """With all values, where they can be told in one way only."""
    try:
        values = decoded(body)
        return msgspec.convert(values, kind), msgspec.json.decode(body, type=dict[str, msgspec.Raw]), values
    except NoCanonicalForm:
        read, fields = _read(body, kind, what)
        return read, fields, None
    except UNREADABLE as error:
        raise _refusal(error, what) from error


def _refusal(error: Exception, what: str) -> InvalidRequest:
    if not isinstance(error, msgspec.ValidationError):
        return InvalidRequest(f"the request body is not JSON: {error}")
    where, path = str(error).partition(" - at `$")[::2]
    field = path.strip("`").lstrip(".").partition("[")[0] or _missing_field(str(error))
    return InvalidRequest(f"the request body is not {what}: {where}", param=field)


def _shows_usage(options: _StreamOptions | None) -> bool:
    return options is not None and bool(options.include_usage)


def _number_of(texts: str | list[Any], field: str) -> int:
    if texts == []:
        raise InvalidRequest(f"{field!r} must hold at least one text", param=field)
    return len(items_of(texts))


def _missing_field(message: str) -> str | None:
    """The field that a message of msgspec says is missing: it stands there in backquotes."""
    parts = message.split("`")
    return parts[1] if len(parts) > 1 and "missing required field" in message else None
