"""A request in OpenAI's Responses form as one for a chat."""

from typing import Any

from msgspec import Raw, Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.inference.surfaces.reading import Fields, Form, refused, without_nones
from gatewayz.inference.surfaces.responses.items import Item, chat_messages
from gatewayz.providers.dialects.asked import ABSENT, read

_KEEPS_NOTHING = "the gateway keeps no conversation; send all of it as 'input'"
REFUSALS: dict[str, tuple[tuple[Any, ...], str]] = {
    "store": ((False,), "the gateway keeps no response for you; leave it out, or send false"),
    "previous_response_id": ((), _KEEPS_NOTHING),
    "conversation": ((), _KEEPS_NOTHING),
    "prompt": ((), "templates are kept at OpenAI only; send what it says as 'instructions' and 'input'"),
    "background": ((False,), "the gateway answers while you wait; leave it out"),
    "truncation": (("disabled",), "the gateway cuts nothing out of a conversation; shorten 'input'"),
    "context_management": (([],), "the gateway cuts nothing out of a conversation; shorten 'input'"),
    "max_tool_calls": ((), "it bounds tools that run at the provider, of which there are none here"),
    "top_logprobs": ((0,), "no probabilities are told in this form; use POST /v1/chat/completions"),
}
INCLUDED = ("reasoning.encrypted_content",)
_LEFT_OUT = ("metadata",)
"""Said again in the answer, and nothing else is made of it."""
_CHOICES = ("auto", "none", "required")


class _Tool(Struct, frozen=True, kw_only=True):
    type: str
    name: str = ""
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None
    cache_control: Any = None


class _Choice(Struct, frozen=True):
    type: str
    name: str | None = None


class _Format(Struct, frozen=True):
    type: str
    name: str = "answer"
    schema: Raw = ABSENT
    description: str | None = None
    strict: bool | None = None


class _Text(Struct, frozen=True):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(Struct, frozen=True):
    """A summary comes wherever the provider gives one."""

    effort: str | None = None


def chat_of(body: bytes) -> Form:
    fields = Fields(body)
    fields.refuse(REFUSALS)
    model = fields.need("model", str)
    instructions = fields.take("instructions", str)
    system: list[Form] = [{"role": "system", "content": instructions}] if instructions else []
    chat: Form = {"model": model, "messages": [*system, *_messages(fields)]}
    chat |= without_nones(max_completion_tokens=fields.take("max_output_tokens", int))
    if fields.take("stream", bool):
        chat |= {"stream": True, "stream_options": {"include_usage": True}}
    for wanted in fields.take("include", list[str]) or ():
        if wanted not in INCLUDED:
            raise refused("include", f"{wanted!r} cannot be had here; known: {', '.join(INCLUDED)}")
    reasoning = fields.take("reasoning", _Reasoning) or _Reasoning()
    chat |= without_nones(reasoning_effort=reasoning.effort)
    chat |= _tools(fields) | _text(fields)
    fields.leave_out((*_LEFT_OUT, "stream_options"))
    return chat | fields.rest


def _messages(fields: Fields) -> list[Form]:
    raw = fields.need("input", Raw)
    if bytes(raw).startswith(b'"'):
        return [{"role": "user", "content": read("input", raw, str)}]
    messages = chat_messages(read("input", raw, list[Item]))
    if not messages:
        raise InvalidRequest("'input' must hold at least one message", param="input")
    return messages


def _tools(fields: Fields) -> Form:
    given = fields.take("tools", list[_Tool]) or []
    chat: Form = {"tools": [_tool(tool) for tool in given]} if given else {}
    raw = fields.rest.pop("tool_choice", None)
    if raw is None:
        return chat
    if bytes(raw).startswith(b'"'):
        choice = read("tool_choice", raw, str)
        if choice not in _CHOICES:
            raise InvalidRequest(f"'tool_choice' is {choice!r}; use one of {_CHOICES}", param="tool_choice")
        return chat | {"tool_choice": choice}
    named = read("tool_choice", raw, _Choice)
    if named.type != "function" or not named.name:
        raise refused("tool_choice", f"there is no type {named.type!r} here; use one of {_CHOICES}, or name a function")
    return chat | {"tool_choice": {"type": "function", "function": {"name": named.name}}}


def _tool(tool: _Tool) -> Form:
    if tool.type != "function":
        raise refused("tools", f"tools of type {tool.type!r} run at OpenAI only; describe yours as functions")
    function = without_nones(
        name=tool.name, description=tool.description, parameters=tool.parameters, strict=tool.strict
    )
    return {"type": "function", "function": function, **without_nones(cache_control=tool.cache_control)}


def _text(fields: Fields) -> Form:
    text = fields.take("text", _Text) or _Text()
    chat = without_nones(verbosity=text.verbosity)
    wanted = text.format
    if wanted is None or wanted.type == "text":
        return chat
    if wanted.type == "json_object":
        return chat | {"response_format": {"type": "json_object"}}
    if wanted.type != "json_schema" or wanted.schema == ABSENT:
        raise refused("text", "its 'format' must be of type text, json_object, or json_schema with a 'schema'")
    schema = without_nones(name=wanted.name, schema=wanted.schema, description=wanted.description, strict=wanted.strict)
    return chat | {"response_format": {"type": "json_schema", "json_schema": schema}}
