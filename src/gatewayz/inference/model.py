"""What the gateway itself reads of a chat request; all other fields go to the provider as they came."""

from typing import Any

import msgspec
from msgspec import Struct

from gatewayz.core.errors import InvalidRequest

OWN_FIELDS = ("provider", "models", "cache")
"""Of a request's body they are for the gateway: no provider is sent them."""


class _StreamOptions(Struct):
    include_usage: bool | None = False


class _ReadFields(Struct):
    model: str
    messages: list[Any]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None


class ChatRequest(Struct, frozen=True, kw_only=True):
    """`shows_usage`: the caller wants a stream to end with what it used."""

    model: str
    is_streaming: bool
    shows_usage: bool
    body: dict[str, msgspec.Raw]

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
    try:
        read = msgspec.json.decode(body, type=_ReadFields)
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError as error:
        where, path = str(error).partition(" - at `$")[::2]
        field = path.strip("`").lstrip(".").partition("[")[0] or _missing_field(str(error))
        raise InvalidRequest(f"the request body is not a chat request: {where}", param=field) from error
    # The latter two: text that is no UTF-8, and nesting deeper than the interpreter's stack.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the request body is not JSON: {error}") from error
    if not read.messages:
        raise InvalidRequest("'messages' must hold at least one message", param="messages")
    options = read.stream_options
    return ChatRequest(
        model=read.model,
        is_streaming=bool(read.stream),
        shows_usage=options is not None and bool(options.include_usage),
        body=fields,
    )


def _missing_field(message: str) -> str | None:
    """The field that a message of msgspec says is missing: it stands there in backquotes."""
    parts = message.split("`")
    return parts[1] if len(parts) > 1 and "missing required field" in message else None
