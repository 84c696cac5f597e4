"""OpenAI's form and Anthropic's, field by field."""

import json
from typing import Any

import pytest
from tests.support.attempts import SECRET, attempt, sent

from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest, NotSupported, ProviderFailed
from gatewayz.providers.dialects.anthropic.answer import FINISH
from gatewayz.providers.dialects.anthropic.request import DEFAULT_MAX_TOKENS, REFUSALS, body_of
from gatewayz.providers.dialects.anthropic.wire import AnthropicWire
from gatewayz.providers.dialects.asked import HINTS
from gatewayz.providers.dialects.translated import answer_of

HELLO = [{"role": "user", "content": "Hi"}]
MARK = {"type": "ephemeral", "ttl": "1h"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
NEW, OLD = "claude-opus-4-6", "claude-sonnet-4-5-20250929"


def body(model: str = OLD, *, most_output: int | None = None, **fields: object) -> dict[str, Any]:
    form: dict[str, Any] = sent(body_of(attempt({"messages": HELLO, **fields}, model=model, most_output=most_output)))
    return form


def refused(**fields: object) -> GatewayzError:
    with pytest.raises(GatewayzError) as caught:
        body_of(attempt({"messages": HELLO, **fields}))
    return caught.value


def said(blocks: list[Any], stop: str = "end_turn") -> dict[str, Any]:
    asked = attempt({})
    message = {"id": "msg_1", "content": blocks, "stop_reason": stop, "usage": {}}
    form: dict[str, Any] = json.loads(answer_of(asked, json.dumps(message).encode(), AnthropicWire().reader(asked)))
    choice: dict[str, Any] = form["choices"][0]
    return choice


def calling(arguments: str) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}]}


def error(status: int, detail: object) -> GatewayzError:
    return AnthropicWire().fault(attempt({}), status, json.dumps({"type": "error", "error": detail}).encode())


def test_the_bound_of_an_answer_is_the_callers_else_the_catalogs_else_a_default() -> None:
    assert body(max_tokens=5, max_completion_tokens=7, most_output=9)["max_tokens"] == 7
    assert body(max_tokens=5, most_output=9)["max_tokens"] == 5
    assert body(most_output=9)["max_tokens"] == 9
    assert body()["max_tokens"] == DEFAULT_MAX_TOKENS


def test_cache_markers_reach_anthropic_untouched_wherever_they_stand() -> None:
    part = {"type": "text", "text": "long", "cache_control": MARK}
    picture = {"type": "image_url", "image_url": {"url": "https://p.example/a.png"}, "cache_control": MARK}
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    made = body(
        messages=[
            {"role": "system", "content": [part]},
            {"role": "user", "content": [picture, part]},
            {"role": "assistant", "content": "as a message", "tool_calls": calls, "cache_control": MARK},
            {"role": "tool", "tool_call_id": "c", "content": "result", "cache_control": MARK},
        ],
        tools=[{"type": "function", "function": {"name": "f"}, "cache_control": MARK}],
    )
    assert made["system"][0]["cache_control"] == MARK
    user, assistant, tool = (turn["content"] for turn in made["messages"])
    assert [block["cache_control"] for block in user] == [MARK, MARK]
    assert assistant[0]["cache_control"] == MARK
    assert tool == [
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": [{"type": "text", "text": "result"}],
            "cache_control": MARK,
        }
    ]
    assert made["tools"][0]["cache_control"] == MARK


def test_pictures_go_as_base64_or_by_their_address_and_pdfs_as_documents() -> None:
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": "data:image/PNG;charset=x;base64,QUJD", "detail": "high"}},
        {"type": "image_url", "image_url": "https://p.example/a.png"},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
    ]
    assert body(messages=[{"role": "user", "content": parts}])["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        {"type": "image", "source": {"type": "url", "url": "https://p.example/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
            "title": "a.pdf",
        },
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://p.example/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png,plain"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "something_new"},
    ],
)
def test_a_part_that_anthropic_does_not_take_may_be_taken_by_another(part: dict[str, Any]) -> None:
    error = refused(messages=[{"role": "user", "content": [part]}])
    assert isinstance(error, NotSupported)
    assert error.param == "messages"


def test_a_schema_of_the_answer_and_of_strict_tools_is_handed_on() -> None:
    made = body(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}],
    )
    assert made["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert made["tools"] == [{"name": "f", "input_schema": SCHEMA, "strict": True}]
    assert "output_config" not in body(response_format={"type": "text"})
    assert isinstance(refused(response_format={"type": "json_object"}), NotSupported)
    assert type(refused(response_format={"type": "json_schema"})) is InvalidRequest


def test_tools_of_anthropics_own_go_through_as_they_came() -> None:
    own = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    assert body(tools=[own])["tools"] == [own]


def test_who_wants_one_call_at_a_time_gets_it() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    one = {"disable_parallel_tool_use": True}
    assert body(tools=tools, parallel_tool_calls=False)["tool_choice"] == {"type": "auto", **one}
    made = body(tools=tools, parallel_tool_calls=False, tool_choice="required")
    assert made["tool_choice"] == {"type": "any", **one}
    assert "tool_choice" not in body(tools=tools, parallel_tool_calls=True)


@pytest.mark.parametrize(
    ("model", "fields", "thinking", "effort"),
    [
        (OLD, {}, None, None),
        (OLD, {"reasoning_effort": "none"}, {"type": "disabled"}, None),
        (OLD, {"reasoning_effort": "medium"}, {"type": "enabled", "budget_tokens": 5000}, None),
        (OLD, {"reasoning_effort": "minimal"}, {"type": "enabled", "budget_tokens": 1024}, None),
        (OLD, {"reasoning": {"max_tokens": 2000}}, {"type": "enabled", "budget_tokens": 2000}, None),
        (OLD, {"reasoning": {"effort": "high"}}, {"type": "enabled", "budget_tokens": 8000}, None),
        (OLD, {"reasoning": {"enabled": True}}, {"type": "enabled", "budget_tokens": 5000}, None),
        (OLD, {"reasoning": {"enabled": False}}, {"type": "disabled"}, None),
        ("claude-3-7-sonnet-20250219", {"reasoning_effort": "low"}, {"type": "enabled", "budget_tokens": 2000}, None),
        ("claude-opus-4-20250514", {"reasoning_effort": "low"}, {"type": "enabled", "budget_tokens": 2000}, None),
        (NEW, {"reasoning_effort": "low"}, {"type": "adaptive"}, "low"),
        (NEW, {"reasoning_effort": "xhigh"}, {"type": "adaptive"}, "max"),
        (NEW, {"reasoning": {"max_tokens": 2000}}, {"type": "enabled", "budget_tokens": 2000}, None),
        ("claude-opus-4.7", {"reasoning_effort": "low"}, {"type": "adaptive", "display": "summarized"}, "low"),
        (OLD, {"thinking": {"type": "its own"}, "reasoning_effort": "low"}, {"type": "its own"}, None),
    ],
)
def test_claude_is_told_how_hard_to_think_as_its_version_wants(
    model: str, fields: dict[str, Any], thinking: object, effort: str | None
) -> None:
    made = body(model, max_tokens=10_000, **fields)
    assert made.get("thinking") == thinking
    assert made.get("output_config") == (None if effort is None else {"effort": effort})
    assert not {"reasoning", "reasoning_effort"} & made.keys()


def test_thinking_that_leaves_no_room_for_an_answer_is_refused_with_the_remedy() -> None:
    error = refused(reasoning_effort="low", max_tokens=1024)
    assert (error.param, isinstance(error, NotSupported)) == ("reasoning_effort", True)
    assert "max_completion_tokens" in error.message
    assert type(refused(reasoning_effort="utmost")) is InvalidRequest


def test_only_thoughts_of_a_claude_with_their_signature_go_back_before_all_else() -> None:
    ours = {"type": "reasoning.text", "format": "anthropic-claude-v1"}
    details = [
        {**ours, "index": 0, "text": "Hm"},
        {"type": "reasoning.text", "index": 0, "text": "m."},
        {"type": "reasoning.text", "index": 0, "signature": "sig"},
        {"type": "reasoning.encrypted", "format": "anthropic-claude-v1", "index": 1, "data": "xyz"},
        {**ours, "index": 2, "text": "unsigned"},
        {"type": "reasoning.text", "format": "another", "index": 3, "text": "of another", "signature": "sig"},
    ]
    made = body(messages=[*HELLO, {"role": "assistant", "content": "Yes", "reasoning_details": details}, *HELLO])
    assert made["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "Yes"},
    ]


VALUES: dict[str, Any] = {
    "n": 2,
    "seed": 0,
    "frequency_penalty": 0.5,
    "presence_penalty": -1,
    "logit_bias": {"1": 1},
    "logprobs": True,
    "top_logprobs": 2,
    "modalities": ["text", "audio"],
    "audio": {"voice": "x"},
    "verbosity": "low",
    "web_search_options": {},
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
}


@pytest.mark.parametrize("field", REFUSALS)
def test_what_anthropic_has_no_place_for_is_refused_by_name_unless_it_asks_for_nothing(field: str) -> None:
    error = refused(**{field: VALUES[field]})
    assert isinstance(error, NotSupported)
    assert error.param == field
    assert REFUSALS[field].remedy in error.message
    for nothing in (*REFUSALS[field].values, None):
        assert field not in body(**{field: nothing})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "hot"),
        ("stop", {"a": 1}),
        ("tools", [{"type": "function"}]),
        ("tools", {"a": 1}),
        ("tool_choice", "sometimes"),
        ("max_tokens", "many"),
        ("messages", [{"role": "robot", "content": "Hi"}]),
        ("messages", [{"content": "Hi"}]),
        ("messages", [{"role": "tool", "content": "no id"}]),
        ("messages", [calling("{")]),
        ("messages", [calling("[1]")]),
    ],
)
def test_what_nobody_can_read_is_the_callers_fault_and_names_the_field(field: str, value: object) -> None:
    error = refused(**{field: value})
    assert type(error) is InvalidRequest
    assert error.param == field


def test_a_temperature_above_anthropics_is_not_silently_lowered() -> None:
    assert refused(temperature=1.5).param == "temperature"
    assert body(temperature=1)["temperature"] == 1


def test_hints_are_left_out_and_fields_nobody_knows_go_through_as_they_came() -> None:
    hints: dict[str, Any] = dict.fromkeys(HINTS, "x")
    made = body(hints.pop("model"), **hints, unknown={"a": [1, None]}, top_k=5)
    assert made == {
        "model": "x",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "metadata": {"user_id": "x"},
        "unknown": {"a": [1, None]},
        "top_k": 5,
    }


def test_the_tier_is_told_in_anthropics_words() -> None:
    assert body(service_tier="default")["service_tier"] == "standard_only"
    assert refused(service_tier="flex").param == "service_tier"


@pytest.mark.parametrize(("reason", "finish"), FINISH.items())
def test_each_reason_to_stop_has_its_finish(reason: str, finish: str) -> None:
    assert said([{"type": "text", "text": "x"}], reason)["finish_reason"] == finish


def test_blocks_of_servers_tools_and_of_times_to_come_are_passed_over() -> None:
    blocks = [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, {"type": "text", "text": "x"}]
    assert said([*blocks, {"type": "hologram", "data": "d"}])["message"]["content"] == "x"
    assert "tool_calls" not in said(blocks)["message"]


def test_arguments_are_passed_on_as_they_came() -> None:
    asked = attempt({})
    body = (
        b'{"stop_reason":"tool_use","content":[{"type":"tool_use","id":"t","name":"f","input":{"a": 1.10, "b":[ ]}}]}'
    )
    form = json.loads(answer_of(asked, body, AnthropicWire().reader(asked)))
    assert form["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": 1.10, "b":[ ]}'


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"content":"x","stop_reason":"end_turn"}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_message_is_the_providers_failure(body: bytes) -> None:
    asked = attempt({})
    with pytest.raises(ProviderFailed):
        answer_of(asked, body, AnthropicWire().reader(asked))


@pytest.mark.parametrize(
    ("status", "kind", "is_callers"),
    [
        (400, "invalid_request_error", True),
        (401, "authentication_error", False),
        (403, "permission_error", False),
        (404, "not_found_error", False),
        (413, "request_too_large", True),
        (429, "rate_limit_error", False),
        (500, "api_error", False),
        (529, "overloaded_error", False),
    ],
)
def test_an_error_is_the_callers_fault_or_the_providers_with_its_reason_and_without_our_key(
    status: int, kind: str, *, is_callers: bool
) -> None:
    found = error(status, {"type": kind, "message": f"because of {SECRET}"})
    assert isinstance(found, InvalidRequest) is is_callers
    assert isinstance(found, ProviderFailed) is not is_callers
    assert getattr(found, "status", status) == status
    assert found.message == f"the provider 'acme' answered {status} ({kind}): because of ***"


def test_an_empty_account_of_ours_is_not_the_callers_fault() -> None:
    found = error(400, {"type": "invalid_request_error", "message": "Your credit balance is too low to access …"})
    assert isinstance(found, ProviderFailed)
    assert (found.status, found.is_quota) == (402, True)


@pytest.mark.parametrize("body", [b"<html>internal-host-17</html>", b'{"error":"internal-host-17"}', b"", b"\xff"])
def test_of_an_error_in_another_form_nothing_is_shown(body: bytes) -> None:
    found = AnthropicWire().fault(attempt({}), 503, body)
    assert found.message == "the provider 'acme' answered 503"


@pytest.mark.parametrize(
    "reason",
    [
        "prompt is too long: 210021 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000, decrease input length",
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
    ],
)
def test_a_request_that_is_too_long_has_openais_code_whoever_says_so(reason: str) -> None:
    found = error(400, {"type": "invalid_request_error", "message": reason})
    assert isinstance(found, InvalidRequest)
    assert found.kind is ErrorKind.CONTEXT_LENGTH_EXCEEDED
    assert error(400, {"type": "invalid_request_error", "message": "too hot"}).kind is ErrorKind.INVALID_REQUEST


def test_a_message_that_says_nothing_is_left_out() -> None:
    made = body(messages=[*HELLO, {"role": "assistant", "content": ""}, *HELLO])
    assert made["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hi"}] * 2}]
