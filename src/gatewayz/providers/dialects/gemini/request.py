"""A chat request in OpenAI's form as a request for Gemini's generateContent."""

from typing import Any

from gatewayz.core.errors import InvalidRequest
from gatewayz.providers.dialects.asked import HINTS, Asked, Message, Refusal
from gatewayz.providers.dialects.chat import ChatAttempt
from gatewayz.providers.dialects.gemini.contents import contents_of
from gatewayz.providers.dialects.gemini.thinking import thinking_of
from gatewayz.providers.dialects.gemini.tools import tools_of
from gatewayz.providers.dialects.response_format import ResponseFormat

_LEAVE_OUT = "leave it out"
REFUSALS = {
    "logit_bias": Refusal("has no bias of tokens", _LEAVE_OUT, ({},)),
    "logprobs": Refusal("tells its probabilities in another form", _LEAVE_OUT, (False,)),
    "top_logprobs": Refusal("tells its probabilities in another form", _LEAVE_OUT, (0,)),
    "parallel_tool_calls": Refusal("calls as many tools at once as it likes", _LEAVE_OUT, (True,)),
    "audio": Refusal("has other voices", _LEAVE_OUT),
    "verbosity": Refusal("has no measure of verbosity", "say it in the messages", ("medium",)),
    "service_tier": Refusal("has no tiers", _LEAVE_OUT, ("auto", "default")),
    "web_search_options": Refusal("has another form of web search", "put {'googleSearch': {}} into 'tools'"),
    "functions": Refusal("has no functions without tools", "put them into 'tools'", ([],)),
    "function_call": Refusal("has no functions without tools", "use 'tool_choice'", ("auto", "none")),
}
_NUMBERS = {
    "temperature": ("temperature", float),
    "top_p": ("topP", float),
    "top_k": ("topK", int),
    "n": ("candidateCount", int),
    "seed": ("seed", int),
    "presence_penalty": ("presencePenalty", float),
    "frequency_penalty": ("frequencyPenalty", float),
}
"""Our field, Gemini's, and what it holds."""
_MODALITIES = {"text": "TEXT", "image": "IMAGE"}


def body_of(attempt: ChatAttempt) -> dict[str, Any]:
    """Raises InvalidRequest for what nobody could read, NotSupported for what Gemini has no place for."""
    asked = Asked(attempt)
    asked.refuse(REFUSALS)
    asked.leave_out(HINTS)
    system, contents = contents_of(attempt, asked.take("messages", list[Message]) or [])
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    body |= tools_of(attempt, asked)
    native = asked.take("generationConfig", dict[str, Any]) or {}
    config = _generation(asked) | _format(asked) | _modalities(asked) | thinking_of(attempt, asked) | native
    if config:
        body["generationConfig"] = config
    return body | asked.rest


def _generation(asked: Asked) -> dict[str, Any]:
    config: dict[str, Any] = {
        theirs: value for ours, (theirs, kind) in _NUMBERS.items() if (value := asked.take(ours, kind)) is not None
    }
    if (most := asked.most_output()) is not None:
        config["maxOutputTokens"] = most
    if stops := asked.stops():
        config["stopSequences"] = stops
    return config


def _format(asked: Asked) -> dict[str, Any]:
    wanted = asked.take("response_format", ResponseFormat)
    if wanted is None or wanted.type == "text":
        return {}
    schema = wanted.schema()
    return {"responseMimeType": "application/json"} | ({} if schema is None else {"responseJsonSchema": schema})


def _modalities(asked: Asked) -> dict[str, Any]:
    wanted = asked.take("modalities", list[str])
    if wanted is None or wanted == ["text"]:
        return {}
    if unknown := [each for each in wanted if each not in _MODALITIES]:
        raise InvalidRequest(f"'modalities' has {unknown[0]!r}; use {list(_MODALITIES)}", param="modalities")
    return {"responseModalities": [_MODALITIES[each] for each in wanted]}
