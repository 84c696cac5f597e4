"""The rest of an answer of which a part was sent, out of the same answer made anew."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gatewayz.providers.dialects.completion import DONE
from gatewayz.responses.events import Json, assembled, chunks_in
from gatewayz.responses.reasons import NotKept


class _Differs(Exception):
    """What was sent is not how the new answer begins."""


def continuation(sent: bytes, again: bytes) -> bytes | None:
    """Events that follow on those that were `sent`, so that both together say what the whole stream `again` says. None
    where that one begins otherwise.
    """
    try:
        before, whole = assembled(sent, is_whole=False), assembled(again)
        parts = [_part(choice, _choice_in(before, choice["index"])) for choice in whole["choices"]]
        known = {choice["index"] for choice in whole["choices"]}
        if any(choice["index"] not in known for choice in before["choices"]):
            return None
    except (NotKept, _Differs):
        return None
    head = _head(sent)
    chunks = [{**head, "choices": [part]} for part in parts]
    if whole.get("usage") and not before.get("usage"):
        chunks.append({**head, "choices": [], "usage": whole["usage"]})
    return b"".join([b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks]) + DONE


def _head(sent: bytes) -> Json:
    """What all chunks of a stream have alike, as the client knows it already."""
    for chunk in chunks_in(sent, is_whole=False):
        return {name: each for name, each in chunk.items() if name not in ("choices", "usage")}
    return {"object": "chat.completion.chunk"}


def _choice_in(answer: Json, index: int) -> Json:
    return next((choice for choice in answer["choices"] if choice["index"] == index), {"message": {}})


def _part(choice: Json, before: Json) -> Json:
    delta = _rest(choice["message"], before["message"])
    ending = {name: each for name, each in choice.items() if name not in ("message", "logprobs")}
    return {**ending, "delta": delta}


def _rest(whole: Mapping[str, Any], before: Mapping[str, Any]) -> Json:
    if any(value is not None and name not in whole for name, value in before.items()):
        raise _Differs
    rest = {}
    for name, value in whole.items():
        said = before.get(name)
        if said is None:
            rest[name] = [{"index": at, **call} for at, call in enumerate(value)] if name == "tool_calls" else value
        elif name == "tool_calls":
            rest[name] = _rest_of_calls(value, said)
        elif isinstance(value, str) and isinstance(said, str) and value.startswith(said):
            if len(value) > len(said):
                rest[name] = value[len(said) :]
        elif isinstance(value, list) and isinstance(said, list) and value[: len(said)] == said:
            rest[name] = value[len(said) :]
        elif value != said:
            raise _Differs
    return rest


def _rest_of_calls(whole: list[Json], before: list[Json]) -> list[Json]:
    """Ids are made anew each time: the client keeps those that it knows."""
    if len(before) > len(whole):
        raise _Differs
    calls = []
    for at, call in enumerate(whole):
        if at >= len(before):
            calls.append({"index": at, **call})
            continue
        function, said = call.get("function") or {}, before[at].get("function") or {}
        if function.get("name") != said.get("name"):
            raise _Differs
        rest = _rest({"arguments": function.get("arguments") or ""}, {"arguments": said.get("arguments") or ""})
        calls.append({"index": at, "function": rest})
    return calls
