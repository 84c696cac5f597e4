"""Made-up conversations: what they say, how OpenAI's form writes them, and what Anthropic and Gemini read in theirs.

The readers hold a request to the rules of their provider, as that would, and know nothing of the translation.
"""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

Thing = tuple[Any, ...]
"""Something said: ("user", "text", "Hi"), ("assistant", "call", id, name, arguments), ("user", "result", id, text)."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ARGUMENTS = st.dictionaries(NAMES, JSON, max_size=3)
BASE64 = st.text("ABCabc019+/", min_size=4, max_size=8)


class Conversation(Struct, frozen=True):
    """`things`: all that is said, in its order; `system` apart. `messages`: one way to write it in OpenAI's form."""

    system: list[str]
    things: list[Thing]
    messages: list[dict[str, Any]]


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Some turns of a user, each answered, some of them after calls of tools."""
    talk = Conversation([], [], [])
    for number in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            _say_as_system(draw, talk)
        for _ in range(draw(st.integers(1, 2))):
            _say_as_user(draw, talk)
        for step in range(draw(st.integers(0, 2))):
            _call_tools(draw, talk, f"call-{number}-{step}")
        if draw(st.booleans()):
            text = draw(TEXTS)
            talk.things.append(("assistant", "text", text))
            talk.messages.append({"role": "assistant", "content": _written(draw, text)})
    return talk


def _say_as_system(draw: st.DrawFn, talk: Conversation) -> None:
    text = draw(TEXTS)
    talk.system.append(text)
    talk.messages.append({"role": draw(st.sampled_from(["system", "developer"])), "content": _written(draw, text)})


def _say_as_user(draw: st.DrawFn, talk: Conversation) -> None:
    text = draw(TEXTS)
    talk.things.append(("user", "text", text))
    if not draw(st.booleans()):
        talk.messages.append({"role": "user", "content": _written(draw, text)})
        return
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            media_type, data = draw(st.sampled_from(["image/png", "image/jpeg"])), draw(BASE64)
            talk.things.append(("user", "image", media_type, data))
            url = f"data:{media_type};base64,{data}"
        else:
            url = f"https://pictures.example/{draw(NAMES)}.png"
            talk.things.append(("user", "url", url))
        parts.append({"type": "image_url", "image_url": {"url": url}})
    talk.messages.append({"role": "user", "content": parts})


def _call_tools(draw: st.DrawFn, talk: Conversation, prefix: str) -> None:
    text = draw(st.none() | TEXTS)
    if text is not None:
        talk.things.append(("assistant", "text", text))
    calls = [(f"{prefix}-{n}", draw(NAMES), draw(ARGUMENTS)) for n in range(draw(st.integers(1, 3)))]
    talk.things.extend(("assistant", "call", *call) for call in calls)
    written = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for id_, name, arguments in calls
    ]
    talk.messages.append({"role": "assistant", "content": text, "tool_calls": written})
    results = [(call[0], draw(TEXTS)) for call in calls]
    talk.things.extend(("user", "result", id_, text) for id_, text in results)
    for id_, text in draw(st.permutations(results)):
        talk.messages.append({"role": "tool", "tool_call_id": id_, "content": _written(draw, text)})


def _written(draw: st.DrawFn, text: str) -> object:
    return text if draw(st.booleans()) else [{"type": "text", "text": text}]


def read_by_anthropic(body: dict[str, Any]) -> tuple[list[str], list[Thing]]:
    """What Claude is told, system text apart; results in the order of their calls."""
    assert isinstance(body["max_tokens"], int), "max_tokens: Field required"
    turns = body["messages"]
    assert turns, "messages: at least one message is required"
    assert all(a["role"] != b["role"] for a, b in pairwise(turns)), "roles must alternate"
    things: list[Thing] = []
    called: list[str] = []
    for turn in turns:
        read = [_anthropic_block(turn["role"], block) for block in turn["content"]]
        results = [thing for thing in read if thing[1] == "result"]
        assert read[: len(results)] == results, "tool_result blocks must come first"
        assert sorted(thing[2] for thing in results) == sorted(called), "each tool_use wants its tool_result next"
        things += sorted(results, key=lambda thing: called.index(thing[2])) + read[len(results) :]
        called = [thing[2] for thing in read if thing[1] == "call"]
    assert not called
    return [block["text"] for block in body.get("system", [])], things


def _anthropic_block(role: str, block: dict[str, Any]) -> Thing:
    match block:
        case {"type": "text", "text": text}:
            assert text, "text content blocks must be non-empty"
            return role, "text", text
        case {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}:
            return role, "image", media_type, data
        case {"type": "image", "source": {"type": "url", "url": url}}:
            return role, "url", url
        case {"type": "tool_use", "id": id_, "name": name, "input": dict(arguments)}:
            return role, "call", id_, name, arguments
        case {"type": "tool_result", "tool_use_id": id_, "content": content}:
            return role, "result", id_, "".join(part["text"] for part in content)
    raise AssertionError(f"Input tag does not match any of the expected tags: {block}")


def read_by_gemini(body: dict[str, Any]) -> tuple[list[str], list[Thing]]:
    """What Gemini is told, which knows no ids: calls and results have None in their place."""
    assert body["contents"], "contents is not specified"
    things: list[Thing] = []
    called: list[str] = []
    for content in body["contents"]:
        role = {"user": "user", "model": "assistant"}[content["role"]]
        assert content["parts"], "contents.parts must not be empty"
        read = [_gemini_part(role, part) for part in content["parts"]]
        results = [thing for thing in read if thing[1] == "result"]
        assert [thing[4] for thing in results] == called, "function responses must be as many as the calls, in order"
        calls = [part for part in content["parts"] if "functionCall" in part]
        assert not calls or calls[0].get("thoughtSignature"), "Function call is missing a thought_signature"
        called = [thing[3] for thing in read if thing[1] == "call"]
        things += [thing[:4] if thing[1] == "result" else thing for thing in read]
    assert not called
    return [part["text"] for part in body.get("systemInstruction", {"parts": []})["parts"]], things


def _gemini_part(role: str, part: dict[str, Any]) -> Thing:
    match part:
        case {"text": text}:
            assert text
            return role, "text", text
        case {"inlineData": {"mimeType": media_type, "data": data}}:
            return role, "image", media_type, data
        case {"fileData": {"fileUri": url, "mimeType": "image/png"}}:
            return role, "url", url
        case {"functionCall": {"name": name, "args": dict(arguments)}}:
            return role, "call", None, name, arguments
        case {"functionResponse": {"name": name, "response": {"output": text}}}:
            return role, "result", None, text, name
    raise AssertionError(f"Unknown name in {part}")


def without_ids(things: Iterable[Thing]) -> list[Thing]:
    return [(*thing[:2], None, *thing[3:]) if thing[1] in {"call", "result"} else thing for thing in things]
