"""The built-in demo provider: says back what it was told, with no network and no cost."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from gatewayz.core.errors import InvalidRequest
from gatewayz.core.ids import random_id
from gatewayz.providers.dialects.chat import ChatAnswer, ChatAttempt
from gatewayz.providers.dialects.completion import DONE
from gatewayz.providers.dialects.fault import check_is_chat

_encode = msgspec.json.encode


class EchoDialect:
    """Answers with the last user message. A "token" is a word, which is all that a demonstration needs."""

    @asynccontextmanager
    async def chat(self, attempt: ChatAttempt) -> AsyncIterator[ChatAnswer]:
        check_is_chat(attempt)
        messages = attempt.decoded("messages")
        reply = _last_user_text(messages)
        head = {"id": random_id("chatcmpl"), "created": int(time.time()), "model": attempt.native_id}
        usage = _usage(messages, reply)
        if attempt.is_streaming:
            options = attempt.decoded("stream_options") or {}
            wants_usage = isinstance(options, dict) and options.get("include_usage") is True
            yield ChatAnswer("text/event-stream", _events(head, reply, usage if wants_usage else None))
        else:
            yield ChatAnswer("application/json", _whole(head, reply, usage))


async def _whole(head: dict[str, Any], reply: str, usage: dict[str, int]) -> AsyncIterator[bytes]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    yield _encode({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


async def _events(head: dict[str, Any], reply: str, usage: dict[str, int] | None) -> AsyncIterator[bytes]:
    words = [word if index == 0 else f" {word}" for index, word in enumerate(reply.split(" "))]
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        *({"content": word} for word in words),
    ]
    for delta in deltas:
        yield _event(head, [{"index": 0, "delta": delta, "finish_reason": None}])
    yield _event(head, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
    if usage is not None:
        yield _event(head, [], usage)
    yield DONE


def _event(head: dict[str, Any], choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
    chunk = {**head, "object": "chat.completion.chunk", "choices": choices}
    if usage is not None:
        chunk["usage"] = usage
    return b"data: " + _encode(chunk) + b"\n\n"


def _last_user_text(messages: object) -> str:
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            return _text_of(message.get("content"))
    raise InvalidRequest("'messages' has no message with role 'user' to echo", param="messages")


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _usage(messages: object, reply: str) -> dict[str, int]:
    said = messages if isinstance(messages, list) else []
    prompt = sum(len(_text_of(message.get("content")).split()) for message in said if isinstance(message, dict))
    completion = len(reply.split())
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
