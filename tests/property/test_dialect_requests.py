"""A provider with a format of its own is told what the caller said, however he wrote it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.attempts import attempt, sent
from tests.support.conversations import (
    NAMES,
    TEXTS,
    Conversation,
    conversations,
    read_by_anthropic,
    read_by_gemini,
    without_ids,
)

from gatewayz.providers.dialects.anthropic.request import body_of as anthropic_body
from gatewayz.providers.dialects.gemini.request import body_of as gemini_body

SHARES = st.floats(0, 1)
SAMPLING = st.fixed_dictionaries(
    {},
    optional={
        "temperature": SHARES | st.none(),
        "top_p": SHARES,
        "top_k": st.integers(1, 100),
        "max_tokens": st.integers(1, 9999),
        "stop": TEXTS | st.lists(TEXTS, max_size=3) | st.none(),
        "user": TEXTS,
    },
)


def stops(fields: dict[str, Any]) -> list[str]:
    stop = fields.get("stop") or []
    return [stop] if isinstance(stop, str) else stop


def asked_of(fields: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {theirs: fields[ours] for ours, theirs in names.items() if fields.get(ours) is not None}


@given(talk=conversations())
def test_claude_reads_the_conversation_that_was_meant(talk: Conversation) -> None:
    body = sent(anthropic_body(attempt({"model": "x", "messages": talk.messages})))
    assert read_by_anthropic(body) == (talk.system, talk.things)


@given(talk=conversations())
def test_gemini_reads_the_conversation_that_was_meant(talk: Conversation) -> None:
    body = sent(gemini_body(attempt({"model": "x", "messages": talk.messages})))
    assert read_by_gemini(body) == (talk.system, without_ids(talk.things))


@given(fields=SAMPLING)
def test_claude_is_asked_for_the_sampling_that_was_asked_for(fields: dict[str, Any]) -> None:
    body = sent(anthropic_body(attempt({"messages": [{"role": "user", "content": "Hi"}], **fields}, most_output=77)))
    assert body.pop("messages")
    assert body.pop("model") == "m-1"
    assert body.pop("max_tokens") == fields.get("max_tokens", 77)
    assert body.pop("metadata", {}) == asked_of(fields, {"user": "user_id"})
    assert body.pop("stop_sequences", []) == stops(fields)
    assert body == asked_of(fields, {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k"})


@given(fields=SAMPLING, seed=st.none() | st.integers(0, 2**31), n=st.none() | st.integers(1, 8))
def test_gemini_is_asked_for_the_sampling_that_was_asked_for(
    fields: dict[str, Any], seed: int | None, n: int | None
) -> None:
    fields = {**fields, "seed": seed, "n": n}
    body = sent(gemini_body(attempt({"messages": [{"role": "user", "content": "Hi"}], **fields})))
    assert body.pop("contents")
    config = body.pop("generationConfig", {})
    assert config.pop("stopSequences", []) == stops(fields)
    names = {"temperature": "temperature", "top_p": "topP", "top_k": "topK", "max_tokens": "maxOutputTokens"}
    assert config == asked_of(fields, {**names, "seed": "seed", "n": "candidateCount"})
    assert body == {}


SCHEMAS = st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(NAMES, st.just({}))})
FUNCTIONS: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"description": TEXTS, "parameters": SCHEMAS}),
    min_size=1,
    max_size=4,
    unique_by=lambda function: str(function["name"]),
)


@given(functions=FUNCTIONS, data=st.data())
def test_both_are_given_the_tools_and_the_choice_of_them(functions: list[dict[str, Any]], data: st.DataObject) -> None:
    name = functions[0]["name"]
    named: Any = {"type": "function", "function": {"name": name}}
    choice: Any = data.draw(st.sampled_from([None, "auto", "none", "required", named]))
    fields: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": function} for function in functions],
        **({"tool_choice": choice} if choice is not None else {}),
    }
    claude, gemini = sent(anthropic_body(attempt(fields))), sent(gemini_body(attempt(fields)))
    nothing = {"type": "object", "properties": {}}
    assert [(t["name"], t.get("description"), t["input_schema"]) for t in claude["tools"]] == [
        (f["name"], f.get("description"), f.get("parameters", nothing)) for f in functions
    ]
    assert [
        (t["name"], t.get("description"), t.get("parametersJsonSchema"))
        for t in gemini["tools"][0]["functionDeclarations"]
    ] == [(f["name"], f.get("description"), f.get("parameters")) for f in functions]
    key = "named" if choice is named else choice
    assert (
        claude.get("tool_choice")
        == {
            None: None,
            "auto": {"type": "auto"},
            "none": {"type": "none"},
            "required": {"type": "any"},
            "named": {"type": "tool", "name": name},
        }[key]
    )
    assert (
        gemini.get("toolConfig", {}).get("functionCallingConfig")
        == {
            None: None,
            "auto": {"mode": "AUTO"},
            "none": {"mode": "NONE"},
            "required": {"mode": "ANY"},
            "named": {"mode": "ANY", "allowedFunctionNames": [name]},
        }[key]
    )
