"""A chat's answer as Anthropic's message."""

from typing import Any

import msgspec

from gatewayz.core.errors import ProviderFailed
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.inference.surfaces.answer import Call, ChatAnswer, Choice, Said
from gatewayz.inference.surfaces.reading import Form
from gatewayz.inference.told_usage import ToldUsage
from gatewayz.providers.dialects.anthropic.messages import thinking_blocks

STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""By `finish_reason`; what is not here is "end_turn"."""


def message_of(answer: ChatAnswer) -> Form:
    choice = answer.first
    return {
        **head_of(answer),
        "content": blocks_of(choice.message or Said()),
        **ending_of(choice),
        "usage": usage_of(answer.usage),
        **({"gatewayz": answer.gatewayz} if answer.gatewayz is not None else {}),
    }


def head_of(answer: ChatAnswer) -> Form:
    id_ = answer.id if answer.id.startswith("msg_") else f"msg_{answer.suffix}"
    return {"id": id_, "type": "message", "role": "assistant", "model": answer.model}


def blocks_of(said: Said) -> list[Form]:
    blocks: list[Form] = thinking_blocks(said.reasoning_details or ())
    if not blocks and said.thought:
        blocks = [{"type": "thinking", "thinking": said.thought, "signature": ""}]
    blocks += [{"type": "text", "text": text} for text in (said.content, said.refusal) if text]
    return blocks + [_called(number, call) for number, call in enumerate(said.tool_calls or ())]


def _called(number: int, call: Call) -> Form:
    return {
        "type": "tool_use",
        "id": call.id or f"toolu_{number}",
        "name": call.function.name or "",
        "input": _input(call.function.arguments or ""),
    }


def _input(arguments: str) -> Any:  # noqa: ANN401  any JSON
    if not arguments.strip():
        return {}
    try:
        return msgspec.json.decode(arguments)
    except UNREADABLE as error:
        raise ProviderFailed("the model called a tool with what is no JSON; send the request again") from error


def ending_of(choice: Choice) -> Form:
    if isinstance(choice.stop_reason, str) and choice.finish_reason == "stop":
        return {"stop_reason": "stop_sequence", "stop_sequence": choice.stop_reason}
    return {"stop_reason": STOPS.get(choice.finish_reason or "", "end_turn"), "stop_sequence": None}


def usage_of(usage: ToldUsage | None) -> dict[str, int]:
    """Anthropic counts what was read from the cache, and written to it, apart from the rest."""
    used = usage or ToldUsage()
    return {
        "input_tokens": max(0, used.prompt_tokens - used.cached - used.cache_write),
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cached,
        "output_tokens": used.completion,
    }
