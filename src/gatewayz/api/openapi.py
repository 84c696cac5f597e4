"""The hot paths' part of the OpenAPI document, made from the same declarations that they run by."""

from collections.abc import Sequence
from typing import Any

from gatewayz.api.catalog import CatalogRoute
from gatewayz.api.embeddings_app import EMBEDDINGS_PATH
from gatewayz.api.error_forms import MESSAGES, RESPONSES
from gatewayz.api.health import LIVE_PATH
from gatewayz.api.inference_app import CHAT_PATH
from gatewayz.api.parameters import Parameter
from gatewayz.api.plain_app import COMPLETIONS_PATH
from gatewayz.api.tokens_app import TOKENS_PATH

ERROR: dict[str, Any] = {
    "description": "An error in OpenAI's form; `param` names the field to blame.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {
                        "type": "object",
                        "required": ["message", "type", "param", "code"],
                        "properties": {
                            "message": {"type": "string"},
                            "type": {"type": "string"},
                            "param": {"type": ["string", "null"]},
                            "code": {"type": "string"},
                        },
                    }
                },
            }
        }
    },
}
ANTHROPICS_ERROR: dict[str, Any] = {
    "description": "An error in Anthropic's form; its message names the field to blame.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["type", "error", "request_id"],
                "properties": {
                    "type": {"const": "error"},
                    "error": {
                        "type": "object",
                        "required": ["type", "message"],
                        "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
                    },
                    "request_id": {"type": "string"},
                },
            }
        }
    },
}
_OBJECT = {"application/json": {"schema": {"type": "object"}}}
SECURITY_SCHEMES = {"bearer": {"type": "http", "scheme": "bearer", "description": "An API key, gw_live_…"}}
_TEXTS = {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}
_STREAM = {"stream": {"type": "boolean", "default": False}}
_INFERENCE: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    CHAT_PATH: (
        "Create a chat completion, whole or as a stream of server-sent events.",
        {"messages": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
        _STREAM,
    ),
    COMPLETIONS_PATH: ("Complete bare text, whole or as a stream of server-sent events.", {"prompt": _TEXTS}, _STREAM),
    MESSAGES: (
        "Create a message in Anthropic's form, whole or as a stream; errors have its form, too.",
        {"messages": {"type": "array", "minItems": 1, "items": {"type": "object"}}, "max_tokens": {"type": "integer"}},
        _STREAM,
    ),
    TOKENS_PATH: (
        "Count the tokens of a message in Anthropic's form, free of charge; an estimate is marked as one.",
        {"messages": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
        {},
    ),
    RESPONSES: (
        "Create a response in the form of OpenAI's Responses, whole or as a stream. Nothing is stored.",
        {"input": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}},
        _STREAM,
    ),
    EMBEDDINGS_PATH: ("Turn texts into vectors.", {"input": _TEXTS}, {}),
}
"""By path: what it does, the fields that it cannot do without, and others that the gateway reads."""
_PATH_PARAMETERS = {"model": "author/slug", "slug": "a provider's slug"}


def hot_paths_document(catalog_routes: Sequence[CatalogRoute]) -> dict[str, Any]:
    paths = {path: {"get": _catalog_operation(route, path)} for route in catalog_routes for path in route.paths}
    inference = {path: {"post": _inference_operation(path)} for path in _INFERENCE}
    return {**paths, **inference, LIVE_PATH: {"get": _live_operation()}}


def _live_operation() -> dict[str, Any]:
    words = "The process runs. Does no I/O."
    return {"tags": ["health"], "summary": words, "responses": {"200": {"description": words, "content": _OBJECT}}}


def _catalog_operation(route: CatalogRoute, path: str) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in _PATH_PARAMETERS.items()
        if f"{{{name}}}" in path
    ]
    return {
        "tags": ["catalog"],
        "summary": route.summary,
        "parameters": [*in_path, *(query_parameter(parameter) for parameter in route.parameters)],
        "responses": {
            "200": {"description": route.summary, "content": _OBJECT},
            "304": {"description": "The client has this answer already (If-None-Match)."},
            "400": ERROR,
            "404": ERROR,
            "503": ERROR,
        },
    }


def query_parameter(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.schema()
    if parameter.default is not None:
        schema = {**schema, "default": parameter.default}
    return {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}


def _inference_operation(path: str) -> dict[str, Any]:
    summary, wanted, others = _INFERENCE[path]
    error = ANTHROPICS_ERROR if path.startswith(MESSAGES) else ERROR
    properties = {"model": {"type": "string"}, **wanted, **others}
    body = {"type": "object", "required": ["model", *wanted], "properties": properties}
    return {
        "tags": ["inference"],
        "summary": summary,
        "security": [{"bearer": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "The provider's answer in the form of the endpoint.", "content": _OBJECT},
            **dict.fromkeys(("400", "401", "403", "404", "413", "502", "503"), error),
        },
    }
