"""The items of a conversation in OpenAI's Responses form as messages of a chat."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.inference.surfaces.reading import Form, plain, refused, without_nones

FIELD = "input"


class Part(Struct, frozen=True, kw_only=True):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    cache_control: Any = None


class Item(Struct, frozen=True, kw_only=True):
    """Which fields are there depends on `type`."""

    type: str = "message"
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[Part] | None = None
    encrypted_content: str | None = None


def chat_messages(items: Iterable[Item]) -> list[Form]:
    """What one turn of the assistant consists of, thoughts, text and calls, is one message. Raises InvalidRequest for
    what a chat has no place for.
    """
    messages: list[Form] = []
    for item in items:
        match item.type:
            case "message" if item.role == "assistant":
                _join(messages, {"content": _content(item)}, joins="content")
            case "message":
                messages.append(_message(item))
            case "reasoning":
                if thoughts := unsealed(item.encrypted_content):
                    _join(messages, {"reasoning_details": thoughts}, joins="reasoning_details")
            case "function_call":
                function = {"name": item.name, "arguments": item.arguments}
                call = {"id": item.call_id, "type": "function", "function": function}
                _join(messages, {"tool_calls": [call]}, joins=None)
            case "function_call_output":
                output = item.output or ""
                content = output if isinstance(output, str) else plain([_part(part) for part in output])
                messages.append({"role": "tool", "tool_call_id": item.call_id, "content": content})
            case _:
                raise refused(FIELD, f"items of type {item.type!r} need a server of the provider's; leave them out")
    return messages


def _join(messages: list[Form], said: Form, *, joins: str | None) -> None:
    """To the turn of the assistant that is open, unless it has `joins` already, or calls: then another begins."""
    last = messages[-1] if messages and messages[-1]["role"] == "assistant" else None
    if last is None or (joins is not None and (joins in last or "tool_calls" in last)):
        last = {"role": "assistant"}
        messages.append(last)
    for field, value in said.items():
        last[field] = [*last.get(field, ()), *value] if field == "tool_calls" else value


def _message(item: Item) -> Form:
    if item.role not in {"user", "system", "developer"}:
        raise InvalidRequest(
            f"'input' has the role {item.role!r}; use user, assistant, system or developer", param=FIELD
        )
    return {"role": item.role, "content": _content(item)}


def _content(item: Item) -> str | list[Form]:
    content = item.content or ""
    return content if isinstance(content, str) else plain([_part(part) for part in content])


def _part(part: Part) -> Form:
    marker = without_nones(cache_control=part.cache_control)
    match part.type:
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": part.text, **marker}
        case "refusal":
            return {"type": "refusal", "refusal": part.refusal}
        case "input_image" if part.image_url is not None:
            detail = None if part.detail == "auto" else part.detail
            return {"type": "image_url", "image_url": {"url": part.image_url, **without_nones(detail=detail)}, **marker}
        case "input_file" if part.file_data is not None:
            file = without_nones(file_data=part.file_data, filename=part.filename)
            return {"type": "file", "file": file, **marker}
    raise refused(
        FIELD, f"a part of type {part.type!r} must come with its content, as text, 'image_url' or 'file_data'"
    )


def sealed(thoughts: list[Any]) -> str:
    """Thoughts as a caller keeps them for us, who keep nothing."""
    return base64.b64encode(msgspec.json.encode(thoughts)).decode()


def unsealed(text: str | None) -> list[Form]:
    """Empty for what another has sealed: who that is will not be asked now."""
    try:
        return msgspec.json.decode(base64.b64decode(text or "", validate=True), type=list[Form])
    except (*UNREADABLE, binascii.Error):
        return []
