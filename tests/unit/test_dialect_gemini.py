"""OpenAI's form and Gemini's, field by field."""

import json
from typing import Any

import pytest
from tests.support.attempts import SECRET, attempt, sent

from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest, NotSupported, ProviderFailed
from gatewayz.providers.dialects.asked import HINTS
from gatewayz.providers.dialects.gemini.answer import BROKEN, FINISH
from gatewayz.providers.dialects.gemini.request import REFUSALS, body_of
from gatewayz.providers.dialects.gemini.wire import GeminiWire
from gatewayz.providers.dialects.sse import ServerEvent
from gatewayz.providers.dialects.translated import answer_of

HELLO = [{"role": "user", "content": "Hi"}]
CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
OLD, NEW = "gemini-2.5-flash", "gemini-3-pro-preview"


def body(model: str = OLD, **fields: object) -> dict[str, Any]:
    form: dict[str, Any] = sent(body_of(attempt({"messages": HELLO, **fields}, model=model)))
    return form


def refused(model: str = OLD, **fields: object) -> GatewayzError:
    with pytest.raises(GatewayzError) as caught:
        body_of(attempt({"messages": HELLO, **fields}, model=model))
    return caught.value


def said(answer: dict[str, Any]) -> dict[str, Any]:
    asked = attempt({})
    form: dict[str, Any] = json.loads(answer_of(asked, json.dumps(answer).encode(), GeminiWire().reader(asked)))
    return form


def failed(answer: dict[str, Any]) -> GatewayzError:
    with pytest.raises(GatewayzError) as caught:
        said(answer)
    return caught.value


def candidate(*parts: dict[str, Any], finish: str = "STOP") -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": finish}]}


def error(status: int, detail: dict[str, Any]) -> GatewayzError:
    return GeminiWire().fault(attempt({}), status, json.dumps({"error": detail}).encode())


@pytest.mark.parametrize(
    ("is_streaming", "path"),
    [
        (False, "/models/gemini-2.5-flash:generateContent"),
        (True, "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"),
    ],
)
def test_the_model_and_the_way_of_the_answer_stand_in_the_path(path: str, *, is_streaming: bool) -> None:
    asked = attempt({"messages": HELLO}, model=OLD, is_streaming=is_streaming)
    assert GeminiWire().question(asked).path == path


def test_a_models_name_cannot_lead_elsewhere() -> None:
    assert (
        GeminiWire().question(attempt({"messages": HELLO}, model="../x?y=1")).path.startswith("/models/..%2Fx%3Fy%3D1:")
    )


def test_pictures_sounds_and_files_go_inside_or_by_their_address() -> None:
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://p.example/a.jpg?size=1"}},
        {"type": "image_url", "image_url": {"url": "https://p.example/untold"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
    ]
    assert body(messages=[{"role": "user", "content": parts}])["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
        {"fileData": {"fileUri": "https://p.example/a.jpg?size=1", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://p.example/untold"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "QUJD"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "QUJD"}},
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://p.example/a.png"}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
        {"role": "user", "content": [{"type": "something_new"}]},
        {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://p.example/a.png"}}]},
        {"role": "function", "name": "f", "content": "x"},
    ],
)
def test_what_gemini_does_not_take_may_be_taken_by_another(message: dict[str, Any]) -> None:
    error = refused(messages=[message])
    assert isinstance(error, NotSupported)
    assert error.param == "messages"


def test_the_form_of_the_answer_is_handed_on() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    assert body(response_format=wanted)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    plain = body(response_format={"type": "json_object"})
    assert plain["generationConfig"] == {"responseMimeType": "application/json"}
    assert "generationConfig" not in body(response_format={"type": "text"})


def test_strict_functions_are_held_to_their_schema() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}]
    validated = {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert body(tools=tools)["toolConfig"] == validated
    assert body(tools=tools, tool_choice="auto")["toolConfig"] == validated
    assert body(tools=tools, tool_choice="required")["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


def test_tools_of_geminis_own_go_through_as_they_came() -> None:
    assert body(tools=[{"googleSearch": {}}])["tools"] == [{"googleSearch": {}}]
    assert refused(tools=[{"type": "custom", "custom": {"name": "c"}}]).param == "tools"


@pytest.mark.parametrize(
    ("model", "fields", "config"),
    [
        (OLD, {}, None),
        (OLD, {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        (OLD, {"reasoning_effort": "low"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        (OLD, {"reasoning_effort": "high"}, {"thinkingBudget": 24576, "includeThoughts": True}),
        (OLD, {"reasoning": {"max_tokens": 500}}, {"thinkingBudget": 500, "includeThoughts": True}),
        (
            OLD,
            {"thinking": {"type": "enabled", "budget_tokens": 500}},
            {"thinkingBudget": 500, "includeThoughts": True},
        ),
        (OLD, {"thinking": {"type": "disabled"}}, {"thinkingBudget": 0}),
        (NEW, {"reasoning_effort": "low"}, {"thinkingLevel": "low", "includeThoughts": True}),
        (NEW, {"reasoning_effort": "xhigh"}, {"thinkingLevel": "high", "includeThoughts": True}),
    ],
)
def test_gemini_is_told_how_hard_to_think_as_its_version_wants(
    model: str, fields: dict[str, Any], config: dict[str, Any] | None
) -> None:
    made = body(model, **fields)
    assert made.get("generationConfig") == (None if config is None else {"thinkingConfig": config})
    assert not {"reasoning", "reasoning_effort", "thinking"} & made.keys()


def test_a_model_that_always_thinks_cannot_be_told_not_to() -> None:
    error = refused(NEW, reasoning_effort="none")
    assert (error.param, isinstance(error, NotSupported)) == ("reasoning_effort", True)


VALUES: dict[str, Any] = {
    "logit_bias": {"1": 1},
    "logprobs": True,
    "top_logprobs": 2,
    "parallel_tool_calls": False,
    "audio": {"voice": "x"},
    "verbosity": "low",
    "service_tier": "flex",
    "web_search_options": {},
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
}


@pytest.mark.parametrize("field", REFUSALS)
def test_what_gemini_has_no_place_for_is_refused_by_name_unless_it_asks_for_nothing(field: str) -> None:
    error = refused(**{field: VALUES[field]})
    assert isinstance(error, NotSupported)
    assert error.param == field
    assert REFUSALS[field].remedy in error.message
    for nothing in (*REFUSALS[field].values, None):
        assert body(**{field: nothing}) == {"contents": CONTENTS}


def test_a_result_without_its_call_is_the_callers_fault() -> None:
    error = refused(messages=[*HELLO, {"role": "tool", "tool_call_id": "c", "content": "x"}])
    assert type(error) is InvalidRequest
    assert "'c'" in error.message


def test_hints_are_left_out_and_fields_nobody_knows_go_through_as_they_came() -> None:
    hints: dict[str, Any] = dict.fromkeys(HINTS, "x")
    made = body(hints.pop("model"), **hints, safetySettings=[{"a": 1}], generationConfig={"topK": 3}, n=2)
    assert made == {
        "contents": CONTENTS,
        "generationConfig": {"candidateCount": 2, "topK": 3},
        "safetySettings": [{"a": 1}],
    }


def test_pictures_may_come_back() -> None:
    assert body(modalities=["text", "image"])["generationConfig"] == {"responseModalities": ["TEXT", "IMAGE"]}
    assert type(refused(modalities=["smell"])) is InvalidRequest
    message = said(candidate({"inlineData": {"mimeType": "image/png", "data": "QUJD"}}))["choices"][0]["message"]
    assert message["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]


@pytest.mark.parametrize(("reason", "finish"), FINISH.items())
def test_each_reason_to_stop_has_its_finish(reason: str, finish: str) -> None:
    assert said(candidate({"text": "x"}, finish=reason))["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize("reason", BROKEN)
def test_an_answer_that_gemini_gave_up_on_is_no_answer(reason: str) -> None:
    error = failed(candidate(finish=reason))
    assert isinstance(error, ProviderFailed)
    assert reason in error.message


def test_a_blocked_prompt_is_the_callers_to_mend() -> None:
    error = failed({"promptFeedback": {"blockReason": "SAFETY"}})
    assert isinstance(error, InvalidRequest)
    assert error.kind is ErrorKind.CONTENT_FILTER


def test_feedback_on_the_prompt_that_blocks_nothing_says_nothing() -> None:
    answer = {**candidate({"text": "x"}), "promptFeedback": {"safetyRatings": []}}
    assert said(answer)["choices"][0]["message"]["content"] == "x"


def test_a_stream_with_an_unfinished_candidate_is_not_whole() -> None:
    reader = GeminiWire().reader(attempt({}))
    reader.event(ServerEvent("message", json.dumps(candidate({"text": "x"})).encode()))
    other = {"candidates": [{"index": 1, "content": {"parts": [{"text": "y"}]}}]}
    reader.event(ServerEvent("message", json.dumps(other).encode()))
    with pytest.raises(ProviderFailed):
        reader.end()


def test_tokens_of_tools_of_its_own_count_as_prompt() -> None:
    usage = {"promptTokenCount": 5, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 2}
    assert said({**candidate({"text": "x"}), "usageMetadata": usage})["usage"]["prompt_tokens"] == 12


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"candidates":[]}', b'{"candidates":7}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_answer_is_the_providers_failure(body: bytes) -> None:
    asked = attempt({})
    with pytest.raises(ProviderFailed):
        answer_of(asked, body, GeminiWire().reader(asked))


@pytest.mark.parametrize(
    ("status", "name", "is_callers"),
    [
        (400, "INVALID_ARGUMENT", True),
        (400, "FAILED_PRECONDITION", False),
        (403, "PERMISSION_DENIED", False),
        (404, "NOT_FOUND", False),
        (429, "RESOURCE_EXHAUSTED", False),
        (500, "INTERNAL", False),
        (503, "UNAVAILABLE", False),
    ],
)
def test_an_error_is_the_callers_fault_or_the_providers_with_its_reason_and_without_our_key(
    status: int, name: str, *, is_callers: bool
) -> None:
    found = error(status, {"code": status, "status": name, "message": f"because of {SECRET}"})
    assert isinstance(found, InvalidRequest) is is_callers
    assert isinstance(found, ProviderFailed) is not is_callers
    assert found.message == f"the provider 'acme' answered {status} ({name}): because of ***"


def test_a_key_of_ours_that_gemini_does_not_know_is_not_the_callers_fault() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    found = error(400, {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid.", "details": details})
    assert isinstance(found, ProviderFailed)
    assert found.status == 401


@pytest.mark.parametrize(
    ("details", "retry_after", "is_quota"),
    [
        ([], None, False),
        ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}], 34.07, False),
        ([{"retryDelay": "soon"}, {"violations": "many"}, {"violations": [7]}], None, False),
        ([{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}], None, False),
        ([{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}, {"retryDelay": "9s"}], 9, True),
    ],
)
def test_gemini_says_when_to_ask_again_and_whether_a_days_quota_is_used_up(
    details: list[Any], retry_after: float | None, *, is_quota: bool
) -> None:
    found = error(429, {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded.", "details": details})
    assert isinstance(found, ProviderFailed)
    assert (found.retry_after, found.is_quota) == (retry_after, is_quota)


@pytest.mark.parametrize("body", [b"<html>internal-host-17</html>", b'[{"error":"internal-host-17"}]', b"", b"\xff"])
def test_of_an_error_in_another_form_nothing_is_shown(body: bytes) -> None:
    assert GeminiWire().fault(attempt({}), 503, body).message == "the provider 'acme' answered 503"


def test_a_message_that_says_nothing_is_left_out() -> None:
    made = body(messages=[*HELLO, {"role": "assistant", "content": ""}, *HELLO])
    assert made["contents"] == [{"role": "user", "parts": [{"text": "Hi"}, {"text": "Hi"}]}]
