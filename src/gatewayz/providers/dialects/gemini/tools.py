"""Tools, and which of them is to be used, as Gemini takes them."""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from gatewayz.core.errors import InvalidRequest
from gatewayz.providers.dialects.asked import ABSENT, Asked, Function, Tool, read
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import not_supported
from gatewayz.providers.dialects.tool_choice import Choice, choice_of

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_HELD_TO_SCHEMA = "VALIDATED"
"""As AUTO, and what a function is called with is as its schema says."""


def tools_of(attempt: ChatAttempt, asked: Asked) -> dict[str, Any]:
    """`tools` and `toolConfig`, as far as they were asked for."""
    choice = choice_of(attempt, asked)
    given = [(raw, read("tools", raw, Tool)) for raw in asked.take("tools", list[Raw]) or []]
    functions = [_function(attempt, tool) for _, tool in given if tool.type]
    tools: list[Any] = [raw for raw, tool in given if not tool.type]  # those of its own, which have no type
    if functions:
        tools.insert(0, {"functionDeclarations": [_declaration(function) for function in functions]})
    if not tools:
        return {}
    config = _calling(choice, functions)
    return {"tools": tools} | ({"toolConfig": {"functionCallingConfig": config}} if config else {})


def _function(attempt: ChatAttempt, tool: Tool) -> Function:
    if tool.type != "function":
        raise not_supported(attempt, "tools", f"has no tools of type {tool.type!r}", "describe it as a function")
    if tool.function is None:
        raise InvalidRequest("a tool in 'tools' of type 'function' has no 'function'", param="tools")
    return tool.function


def _declaration(function: Function) -> dict[str, Any]:
    form: dict[str, Any] = {"name": function.name}
    if function.description is not None:
        form["description"] = function.description
    if function.parameters != ABSENT:
        form["parametersJsonSchema"] = function.parameters
    return form


def _calling(choice: Choice | None, functions: Sequence[Function]) -> dict[str, Any]:
    is_strict = any(function.strict for function in functions)
    if choice is None:
        return {"mode": _HELD_TO_SCHEMA} if is_strict else {}
    if choice.mode == "auto" and is_strict:
        return {"mode": _HELD_TO_SCHEMA}
    named = {} if choice.name is None else {"allowedFunctionNames": [choice.name]}
    return {"mode": _MODES[choice.mode], **named}
