"""A chat request in OpenAI's form as a request to Anthropic's Messages API."""

from typing import Any

from gatewayz.providers.dialects.anthropic.messages import messages_of
from gatewayz.providers.dialects.anthropic.thinking import thinking_of
from gatewayz.providers.dialects.anthropic.tools import tools_of
from gatewayz.providers.dialects.asked import HINTS, Asked, Message, Refusal
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.fault import not_supported
from gatewayz.providers.dialects.response_format import ResponseFormat

DEFAULT_MAX_TOKENS = 4096
"""Anthropic wants a bound for each answer; this one holds where neither the caller nor the catalog knows one."""

_LEAVE_OUT = "leave it out"
REFUSALS = {
    "n": Refusal("gives one answer to a request", "send the request as often as there should be answers", (1,)),
    "seed": Refusal("takes no seed", _LEAVE_OUT),
    "frequency_penalty": Refusal("has no penalties", _LEAVE_OUT, (0,)),
    "presence_penalty": Refusal("has no penalties", _LEAVE_OUT, (0,)),
    "logit_bias": Refusal("has no bias of tokens", _LEAVE_OUT, ({},)),
    "logprobs": Refusal("tells no probabilities", _LEAVE_OUT, (False,)),
    "top_logprobs": Refusal("tells no probabilities", _LEAVE_OUT, (0,)),
    "modalities": Refusal("answers with text only", "ask for text only", (["text"],)),
    "audio": Refusal("does not speak", _LEAVE_OUT),
    "verbosity": Refusal("has no measure of verbosity", "say it in the messages", ("medium",)),
    "web_search_options": Refusal("has another form of web search", "put its own search tool into 'tools'"),
    "functions": Refusal("has no functions without tools", "put them into 'tools'", ([],)),
    "function_call": Refusal("has no functions without tools", "use 'tool_choice'", ("auto", "none")),
}
_TIERS = {"auto": "auto", "default": "standard_only"}
_OF_THE_ANSWER = (
    *("max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k"),
    *("metadata", "service_tier"),
)


def body_of(attempt: ChatAttempt) -> dict[str, Any]:
    """Raises InvalidRequest for what nobody could read, NotSupported for what Anthropic has no place for."""
    asked = Asked(attempt)
    asked.refuse(REFUSALS)
    user = asked.take("safety_identifier", str) or asked.take("user", str)
    asked.leave_out(HINTS)
    system, messages = messages_of(attempt, asked.take("messages", list[Message]) or [])
    most = _most_output(asked, attempt)
    body: dict[str, Any] = {"model": attempt.native_id, "max_tokens": most, "messages": messages}
    if system:
        body["system"] = system
    if attempt.is_streaming:
        body["stream"] = True
    if user is not None:
        body["metadata"] = {"user_id": user}
    body |= _sampling(attempt, asked) | tools_of(attempt, asked) | _tier(attempt, asked)
    thinking, effort = thinking_of(attempt, asked, most)
    if thinking is not None:
        body["thinking"] = thinking
    output = effort | _format(attempt, asked)
    if output:
        body["output_config"] = output
    return body | asked.rest


def counted_body_of(attempt: ChatAttempt) -> dict[str, Any]:
    """The same to be counted, of which Anthropic takes the prompt only."""
    return {name: value for name, value in body_of(attempt).items() if name not in _OF_THE_ANSWER}


def _most_output(asked: Asked, attempt: ChatAttempt) -> int:
    wanted = asked.most_output()
    return attempt.most_output or DEFAULT_MAX_TOKENS if wanted is None else wanted


def _sampling(attempt: ChatAttempt, asked: Asked) -> dict[str, Any]:
    sampling: dict[str, Any] = {}
    temperature = asked.take("temperature", float)
    if temperature is not None:
        if temperature > 1:
            raise not_supported(attempt, "temperature", "takes a 'temperature' of at most 1", "lower it")
        sampling["temperature"] = temperature
    top_p = asked.take("top_p", float)
    if top_p is not None:
        sampling["top_p"] = top_p
    if stops := asked.stops():
        sampling["stop_sequences"] = stops
    return sampling


def _tier(attempt: ChatAttempt, asked: Asked) -> dict[str, Any]:
    tier = asked.take("service_tier", str)
    if tier is None:
        return {}
    if tier not in _TIERS:
        raise not_supported(attempt, "service_tier", f"has no 'service_tier' {tier!r}", f"use one of {list(_TIERS)}")
    return {"service_tier": _TIERS[tier]}


def _format(attempt: ChatAttempt, asked: Asked) -> dict[str, Any]:
    wanted = asked.take("response_format", ResponseFormat)
    if wanted is None or wanted.type == "text":
        return {}
    if (schema := wanted.schema()) is None:
        raise not_supported(attempt, "response_format", "makes JSON only by a schema", "use type 'json_schema'")
    return {"format": {"type": "json_schema", "schema": schema}}
