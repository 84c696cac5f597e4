"""Which requests are looked up, and which answers are fit to be kept."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gatewayz.responses.controls import Controls
from gatewayz.responses.reasons import NotKept, Reason

_TOLD_ENDS = ("stop", "length", "tool_calls", "function_call")
_NO_ENDS: Mapping[str, Reason] = {"content_filter": Reason.CONTENT_FILTER, "error": Reason.ERROR}


def why_not_looked_up(fields: Mapping[str, Any], controls: Controls, *, most_temperature: float) -> Reason | None:
    """Why an answer that is kept would not do for this request whatever it says; None: it may. With buckets a caller
    asks for several answers, and has whichever comes.
    """
    temperature = fields.get("temperature")
    is_hot = isinstance(temperature, int | float) and temperature > most_temperature
    if is_hot and controls.buckets == 1:
        return Reason.TEMPERATURE
    if fields.get("web_search_options") is not None or fields.get("plugins"):
        return Reason.LIVE_DATA
    modalities = fields.get("modalities")
    if fields.get("audio") is not None or (isinstance(modalities, list) and "audio" in modalities):
        return Reason.AUDIO
    return None


def check_complete(answer: Mapping[str, Any], *, choices: int) -> None:
    """Raises NotKept for a whole answer that is broken, cut off, censored or says nothing. `choices`: how many were
    asked for.
    """
    if answer.get("error"):
        raise NotKept(Reason.ERROR)
    said = answer.get("choices")
    if not isinstance(said, list) or len(said) < choices:
        raise NotKept(Reason.INCOMPLETE)
    for choice in said:
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            raise NotKept(Reason.INCOMPLETE)
        _check_end(choice.get("finish_reason"))
        _check_message(choice["message"])


def _check_end(reason: object) -> None:
    if not isinstance(reason, str) or not reason:
        raise NotKept(Reason.INCOMPLETE)
    if (fault := _NO_ENDS.get(reason)) is not None:
        raise NotKept(fault)
    if reason not in _TOLD_ENDS:
        raise NotKept(Reason.UNKNOWN_FORM)


def _check_message(message: Mapping[str, Any]) -> None:
    calls = [call.get("function") for call in message.get("tool_calls") or () if isinstance(call, dict)]
    for function in (*calls, message.get("function_call")):
        if isinstance(function, dict):
            _check_arguments(function.get("arguments"))
    if not any(message.get(name) for name in ("content", "tool_calls", "function_call", "refusal")):
        raise NotKept(Reason.EMPTY)


def _check_arguments(arguments: object) -> None:
    """A function without parameters may be called with no text at all."""
    if arguments in (None, ""):
        return
    try:
        if not isinstance(arguments, str):
            raise NotKept(Reason.TOOL_ARGUMENTS)
        msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NotKept(Reason.TOOL_ARGUMENTS) from error
