"""Anthropic's turns as messages of a chat."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gatewayz.core.errors import InvalidRequest
from gatewayz.inference.surfaces.reading import Form, plain, refused, without_nones
from gatewayz.providers.dialects.anthropic.answer import REASONING_FORM

FIELD = "messages"


class Source(Struct, frozen=True, kw_only=True):
    """Of a picture or a document. Which fields are there depends on `type`."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None

    def as_url(self) -> str | None:
        """As data: URL or as it stands; None where the content is elsewhere."""
        if self.type == "base64" and self.media_type and self.data:
            return f"data:{self.media_type};base64,{self.data}"
        return self.url if self.type == "url" else None


class Block(Struct, frozen=True, kw_only=True):
    """Which fields are there depends on `type`."""

    type: str
    text: str = ""
    source: Source | None = None
    title: str | None = None
    context: str | None = None
    citations: Any = None
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")
    tool_use_id: str = ""
    content: "str | list[Block] | None" = None
    is_error: bool | None = None
    cache_control: Any = None


class Turn(Struct, frozen=True):
    role: str
    content: str | list[Block]


def system_message(system: str | list[Block]) -> list[Form]:
    """None where it says nothing."""
    if isinstance(system, str):
        return [{"role": "system", "content": system}] if system else []
    if any(block.type != "text" for block in system):
        raise refused("system", "takes blocks of type 'text' only; put the rest into the first message")
    return [{"role": "system", "content": plain([_part(block) for block in system])}] if system else []


def chat_messages(turns: Iterable[Turn]) -> list[Form]:
    """Raises InvalidRequest for what a chat has no place for."""
    messages: list[Form] = []
    for turn in turns:
        if isinstance(turn.content, str):
            _check_role(turn.role)
            messages.append({"role": turn.role, "content": turn.content})
        elif turn.role == "assistant":
            messages.append(_assistant(turn.content))
        else:
            _check_role(turn.role)
            messages += _user(turn.content)
    return messages


def _check_role(role: str) -> None:
    if role not in {"user", "assistant"}:
        raise InvalidRequest(f"'messages' has the role {role!r}; use user or assistant", param=FIELD)


def _user(blocks: Iterable[Block]) -> list[Form]:
    """Results of tools are messages of their own, in the order in which they stand."""
    messages: list[Form] = []
    parts: list[Form] = []
    for block in blocks:
        if block.type != "tool_result":
            parts.append(_part(block))
            continue
        if parts:
            messages.append({"role": "user", "content": plain(parts)})
            parts = []
        messages.append(_result(block))
    return [*messages, {"role": "user", "content": plain(parts)}] if parts else messages


def _assistant(blocks: Iterable[Block]) -> Form:
    parts: list[Form] = []
    thoughts: list[Form] = []
    calls: list[Form] = []
    for block in blocks:
        if block.type in {"thinking", "redacted_thinking"}:
            thoughts.append(_thought(block, len(thoughts)))
        elif block.type == "tool_use":
            arguments = msgspec.json.encode(msgspec.json.decode(block.input)).decode()
            function = {"name": block.name, "arguments": arguments}
            marker = without_nones(cache_control=block.cache_control)
            calls.append({"id": block.id, "type": "function", "function": function, **marker})
        else:
            parts.append(_part(block))
    return {
        "role": "assistant",
        **({"content": plain(parts)} if parts else {}),
        **({"reasoning_details": thoughts} if thoughts else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def _thought(block: Block, index: int) -> Form:
    """As the dialect of Anthropic's providers takes it back."""
    said: Form = {"format": REASONING_FORM, "index": index}
    if block.type == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": block.data, **said}
    return {"type": "reasoning.text", "text": block.thinking, "signature": block.signature, **said}


def _result(block: Block) -> Form:
    content = block.content or ""
    return {
        "role": "tool",
        "tool_call_id": block.tool_use_id,
        "content": content if isinstance(content, str) else plain([_part(each) for each in content]),
        **({"is_error": True} if block.is_error else {}),
        **without_nones(cache_control=block.cache_control),
    }


def _part(block: Block) -> Form:
    if block.citations and not (isinstance(block.citations, dict) and not block.citations.get("enabled")):
        raise refused(FIELD, "'citations' have no place in a chat; leave them out")
    marker = without_nones(cache_control=block.cache_control)
    match block.type:
        case "text":
            return {"type": "text", "text": block.text, **marker}
        case "image":
            return {"type": "image_url", "image_url": {"url": _url(block)}, **marker}
        case "document":
            return _document(block) | marker
    raise refused(FIELD, f"blocks of type {block.type!r} need a tool that runs at the provider; leave them out")


def _document(block: Block) -> Form:
    if block.context is not None:
        raise refused(FIELD, "the 'context' of a document has no place in a chat; put it into a text block")
    if block.source is not None and block.source.type == "text":
        return {"type": "text", "text": block.source.data or ""}
    url = _url(block)
    if not url.startswith("data:"):
        raise refused(FIELD, "a document must come as 'base64' or 'text'; the gateway fetches nothing itself")
    return {"type": "file", "file": {"file_data": url, **without_nones(filename=block.title)}}


def _url(block: Block) -> str:
    url = block.source.as_url() if block.source is not None else None
    if url is None:
        kind = block.source.type if block.source is not None else None
        raise refused(FIELD, f"the source of a block of type {block.type!r} is of type {kind!r}; use base64 or url")
    return url
