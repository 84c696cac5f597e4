"""Tools, and which of them is to be used, as Anthropic takes them."""

from typing import Any

from msgspec import Raw

from gatewayz.core.errors import InvalidRequest
from gatewayz.providers.dialects.asked import ABSENT, Asked, Tool, read
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import not_supported
from gatewayz.providers.dialects.tool_choice import Choice, choice_of

_NO_ARGUMENTS = Raw(b'{"type":"object","properties":{}}')
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def tools_of(attempt: ChatAttempt, asked: Asked) -> dict[str, Any]:
    """`tools` and `tool_choice`, as far as they were asked for."""
    given = asked.take("tools", list[Raw])
    choice, parallel = choice_of(attempt, asked), asked.take("parallel_tool_calls", bool)
    if not given:
        return {}
    body: dict[str, Any] = {"tools": [_tool(attempt, raw) for raw in given]}
    if choice is not None or parallel is False:
        body["tool_choice"] = _choice(choice or Choice("auto"), is_parallel=parallel is not False)
    return body


def _choice(choice: Choice, *, is_parallel: bool) -> dict[str, Any]:
    form: dict[str, Any] = {"type": _CHOICES[choice.mode]}
    if choice.name is not None:
        form = {"type": "tool", "name": choice.name}
    if not is_parallel and choice.mode != "none":
        form["disable_parallel_tool_use"] = True
    return form


def _tool(attempt: ChatAttempt, raw: Raw) -> Any:  # noqa: ANN401  a tool of its own as it came
    tool = read("tools", raw, Tool)
    if tool.type == "custom":
        raise not_supported(attempt, "tools", "has no tools without a schema", "describe it as a function")
    if tool.type != "function":
        return raw
    if (function := tool.function) is None:
        raise InvalidRequest("a tool in 'tools' of type 'function' has no 'function'", param="tools")
    form: dict[str, Any] = {
        "name": function.name,
        "input_schema": _NO_ARGUMENTS if function.parameters == ABSENT else function.parameters,
    }
    if function.description is not None:
        form["description"] = function.description
    if function.strict:
        form["strict"] = True
    if (marker := tool.cache_control or function.cache_control) is not None:
        form["cache_control"] = marker
    return form
