"""A request to Anthropic's Messages API as one for a chat."""

from typing import Any

from msgspec import Raw, Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.inference.surfaces.messages.content import Block, Turn, chat_messages, system_message
from gatewayz.inference.surfaces.reading import Fields, Form, refused, without_nones
from gatewayz.providers.dialects.asked import ABSENT, read

_RUNS_THERE = "needs a server of the provider's, which no chat reaches; leave it out"
REFUSALS: dict[str, tuple[tuple[Any, ...], str]] = {
    "mcp_servers": (([],), _RUNS_THERE),
    "container": ((), _RUNS_THERE),
    "betas": (([],), "is no field of a request; leave it out"),
}
SERVER_TOOLS = ("web_search_", "web_fetch_", "code_execution_", "tool_search_", "mcp_")
"""How the types of tools begin that run at the provider."""
EFFORTS = {"max": "xhigh"}
"""Anthropic's words for an effort that a chat has another for."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_TIERS = {"auto": "auto", "standard_only": "default"}


class _Metadata(Struct, frozen=True):
    user_id: str | None = None


class _Choice(Struct, frozen=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Tool(Struct, frozen=True, kw_only=True):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: Raw = ABSENT
    strict: bool | None = None
    cache_control: Any = None


class _Format(Struct, frozen=True):
    type: str
    schema: Raw = ABSENT


class _Output(Struct, frozen=True):
    effort: str | None = None
    format: _Format | None = None


def chat_of(body: bytes, *, is_bounded: bool = True) -> Form:
    """The fields of a chat request. `is_bounded`: the request must say how long its answer may be."""
    fields = Fields(body)
    fields.refuse(REFUSALS)
    model = fields.need("model", str)
    most = fields.need("max_tokens", int) if is_bounded else fields.take("max_tokens", int)
    turns = fields.need("messages", list[Turn])
    if not turns:
        raise InvalidRequest("'messages' must hold at least one message", param="messages")
    messages = [*system_message(_system(fields)), *chat_messages(turns)]
    chat: Form = {"model": model, "messages": messages, **without_nones(max_tokens=most)}
    if fields.take("stream", bool):
        chat |= {"stream": True, "stream_options": {"include_usage": True}}
    if stops := fields.take("stop_sequences", list[str]):
        chat["stop"] = stops
    metadata = fields.take("metadata", _Metadata) or _Metadata()
    return chat | without_nones(user=metadata.user_id) | _tools(fields) | _output(fields) | _tier(fields) | fields.rest


def _system(fields: Fields) -> str | list[Block]:
    raw = fields.rest.pop("system", None)
    if raw is None:
        return ""
    return read("system", raw, str) if bytes(raw).startswith(b'"') else read("system", raw, list[Block])


def _tools(fields: Fields) -> Form:
    given = fields.take("tools", list[Raw]) or []
    choice = fields.take("tool_choice", _Choice)
    chat: Form = {"tools": [_tool(raw) for raw in given]} if given else {}
    if choice is None:
        return chat
    if choice.type == "tool" and choice.name:
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.type in _CHOICES:
        chat["tool_choice"] = _CHOICES[choice.type]
    else:
        raise InvalidRequest(
            f"'tool_choice' has the type {choice.type!r}; use auto, any, tool or none", param="tool_choice"
        )
    if choice.disable_parallel_tool_use:
        chat["parallel_tool_calls"] = False
    return chat


def _tool(raw: Raw) -> Any:  # noqa: ANN401  a tool of Anthropic's own as it came
    tool = read("tools", raw, _Tool)
    kind = tool.type or "custom"
    if kind.startswith(SERVER_TOOLS):
        raise refused("tools", f"a tool of type {kind!r} {_RUNS_THERE}")
    if kind != "custom":
        return raw
    if not tool.name or tool.input_schema == ABSENT:
        raise InvalidRequest("a tool in 'tools' has no 'name' or no 'input_schema'", param="tools")
    function = without_nones(
        name=tool.name, description=tool.description, parameters=tool.input_schema, strict=tool.strict
    )
    return {"type": "function", "function": function, **without_nones(cache_control=tool.cache_control)}


def _output(fields: Fields) -> Form:
    output = fields.take("output_config", _Output)
    if output is None:
        return {}
    chat: Form = {}
    if output.effort is not None:
        chat["reasoning_effort"] = EFFORTS.get(output.effort, output.effort)
    if output.format is not None:
        if output.format.type != "json_schema" or output.format.schema == ABSENT:
            raise refused("output_config", "its 'format' must be of type 'json_schema' and have a 'schema'")
        schema = {"name": "answer", "schema": output.format.schema}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return chat


def _tier(fields: Fields) -> Form:
    tier = fields.take("service_tier", str)
    if tier is None:
        return {}
    if tier not in _TIERS:
        raise InvalidRequest(f"'service_tier' is {tier!r}; use one of {list(_TIERS)}", param="service_tier")
    return {"service_tier": _TIERS[tier]}
