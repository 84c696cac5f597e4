"""A conversation in OpenAI's form as Anthropic's system text and turns."""

from collections.abc import Sequence
from typing import Any

from gatewayz.core.errors import InvalidRequest
from gatewayz.providers.dialects.anthropic.answer import REASONING_FORM
from gatewayz.providers.dialects.asked import Message, Part, Thought, Url, arguments_of
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import not_supported
from gatewayz.providers.dialects.inline import read_data_url

Block = dict[str, Any]

_PDF = "application/pdf"


def messages_of(attempt: ChatAttempt, messages: Sequence[Message]) -> tuple[list[Block], list[dict[str, Any]]]:
    """The system text, from wherever in the conversation, and the turns. What one side says in a row is one turn, as
    all results of the tools of one turn have to come together.
    """
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in {"system", "developer"}:
            system += _system(attempt, message)
            continue
        role, blocks = _turn(attempt, message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:  # a turn without any is refused
            turns.append({"role": role, "content": blocks})
    return system, turns


def _turn(attempt: ChatAttempt, message: Message) -> tuple[str, list[Block]]:
    match message.role:
        case "user":
            return "user", _content(attempt, message)
        case "assistant":
            return "assistant", _assistant(attempt, message)
        case "tool":
            return "user", [_result(attempt, message)]
        case "function":
            raise not_supported(attempt, "messages", "has no functions without tools", "use the role 'tool'")
    raise InvalidRequest(
        f"'messages' has the role {message.role!r}; use system, developer, user, assistant or tool", param="messages"
    )


def _system(attempt: ChatAttempt, message: Message) -> list[Block]:
    if any(part.type != "text" for part in message.parts()):
        raise not_supported(attempt, "messages", "takes text only in system messages", "put the rest into the user's")
    return _content(attempt, message)


def _assistant(attempt: ChatAttempt, message: Message) -> list[Block]:
    blocks = [*thinking_blocks(message.reasoning_details or ()), *_content(attempt, message)]
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    for call in message.tool_calls or ():
        if call.function is None:
            raise not_supported(attempt, "messages", "has no tools without a schema", "describe them as functions")
        marker = {} if call.cache_control is None else {"cache_control": call.cache_control}
        function = {"name": call.function.name, "input": arguments_of(call)}
        blocks.append({"type": "tool_use", "id": call.id, **function, **marker})
    return blocks


def thinking_blocks(thoughts: Sequence[Thought]) -> list[Block]:
    """Those of a Claude: without its signature it takes no thought back."""
    by_index: dict[int, list[Thought]] = {}
    for number, piece in enumerate(thoughts):
        by_index.setdefault(-number - 1 if piece.index is None else piece.index, []).append(piece)
    return [block for pieces in by_index.values() if (block := _thought(pieces)) is not None]


def _thought(pieces: Sequence[Thought]) -> Block | None:
    signature = "".join(piece.signature or "" for piece in pieces)
    data = "".join(piece.data or "" for piece in pieces)
    if pieces[0].format != REASONING_FORM or not (signature or data):
        return None
    if data:
        return {"type": "redacted_thinking", "data": data}
    return {"type": "thinking", "thinking": "".join(piece.text or "" for piece in pieces), "signature": signature}


def _result(attempt: ChatAttempt, message: Message) -> Block:
    if message.tool_call_id is None:
        raise InvalidRequest("a message of role 'tool' in 'messages' has no 'tool_call_id'", param="messages")
    block: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if content := _content(attempt, message):
        block["content"] = content
    if message.is_error:
        block["is_error"] = True
    if message.cache_control is not None:
        block["cache_control"] = message.cache_control
    return block


def _content(attempt: ChatAttempt, message: Message) -> list[Block]:
    blocks = [block for part in message.parts() if (block := _block(attempt, part)) is not None]
    if message.cache_control is not None and message.role != "tool" and blocks:
        blocks[-1].setdefault("cache_control", message.cache_control)
    return blocks


def _block(attempt: ChatAttempt, part: Part) -> Block | None:
    """None for a text without a character, which Anthropic refuses."""
    match part.type:
        case "text" | "refusal":
            text = part.text if part.type == "text" else part.refusal
            block: Block | None = {"type": "text", "text": text} if text else None
        case "image_url" if part.image_url is not None:
            url = part.image_url.url if isinstance(part.image_url, Url) else part.image_url
            block = {"type": "image", "source": _image(attempt, url)}
        case "file" if part.file is not None:
            block = _document(attempt, part)
        case _:
            raise not_supported(attempt, "messages", f"takes no parts of type {part.type!r}", "leave them out")
    if block is not None and part.cache_control is not None:
        block["cache_control"] = part.cache_control
    return block


def _image(attempt: ChatAttempt, url: str) -> dict[str, str]:
    if (inline := read_data_url(url)) is not None:
        return {"type": "base64", "media_type": inline.media_type, "data": inline.data}
    if url.startswith("https://"):
        return {"type": "url", "url": url}
    raise not_supported(attempt, "messages", "takes pictures as data: or https: URLs only", "send them as one of these")


def _document(attempt: ChatAttempt, part: Part) -> Block:
    inline = read_data_url(part.file.file_data or "") if part.file is not None else None
    if part.file is None or inline is None or inline.media_type != _PDF:
        raise not_supported(attempt, "messages", "takes files as PDF in a data: URL only", "send it as 'file_data'")
    source = {"type": "base64", "media_type": inline.media_type, "data": inline.data}
    return {"type": "document", "source": source} | ({"title": part.file.filename} if part.file.filename else {})
