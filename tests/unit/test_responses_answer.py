"""One entry serves whole answers and streams; what is broken, cut off or censored is no entry."""

import json
from typing import Any

import pytest

from gatewayz.providers.dialects.completion import DONE
from gatewayz.responses.answer import CachedAnswer, Origin, kept_form, seen
from gatewayz.responses.controls import Controls
from gatewayz.responses.eligibility import why_not_looked_up
from gatewayz.responses.events import split_events, tells_usage_only
from gatewayz.responses.reasons import NotKept, Reason

ORIGIN = Origin(model="acme/rocket-1", provider="acme", native_id="rocket-1")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def whole(*choices: dict[str, Any], **members: Any) -> bytes:  # noqa: ANN401  any JSON
    said = choices or (choice(content="Hello"),)
    form = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": said, "usage": USAGE}
    return json.dumps({**form, **members}).encode()


def choice(index: int = 0, finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"index": index, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}


def stream(*chunks: dict[str, Any], done: bytes = DONE) -> bytes:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"".join(b"data: " + json.dumps({**head, **chunk}).encode() + b"\n\n" for chunk in chunks) + done


def delta(index: int = 0, finish_reason: str | None = None, **said: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    return {"choices": [{"index": index, "delta": said, "finish_reason": finish_reason}]}


def kept(body: bytes, *, is_stream: bool = False, choices: int = 1, most_bytes: int = 1 << 20) -> CachedAnswer:
    answer = seen(body, is_stream=is_stream)
    return kept_form(answer, ORIGIN, created=1.0, ttl=60.0, choices=choices, most_bytes=most_bytes)


def why_not(body: bytes, *, is_stream: bool = False, choices: int = 1, most_bytes: int = 1 << 20) -> Reason:
    with pytest.raises(NotKept) as refused:
        kept(body, is_stream=is_stream, choices=choices, most_bytes=most_bytes)
    return refused.value.reason


def test_a_hit_is_the_same_answer_with_an_id_and_a_time_of_its_own_and_nothing_used() -> None:
    given = json.loads(kept(whole(system_fingerprint="fp")).as_whole("gen_1", 77))
    assert given == {
        **json.loads(whole(system_fingerprint="fp")),
        "id": "gen_1",
        "created": 77,
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "gatewayz": {"cached_usage": USAGE, "provider": "acme"},
    }


STREAMED = [
    pytest.param(
        [delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), delta(finish_reason="stop")],
        [choice(content="Hello")],
        id="content",
    ),
    pytest.param(
        [
            delta(role="assistant", content=None),
            delta(
                tool_calls=[
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
                ]
            ),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}]),
            delta(tool_calls=[{"index": 1, "id": "call_2", "type": "function", "function": {"name": "g"}}]),
            delta(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
            delta(finish_reason="tool_calls"),
        ],
        [
            choice(
                finish_reason="tool_calls",
                content=None,
                tool_calls=[CALL, {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}],
            )
        ],
        id="tool calls",
    ),
    pytest.param(
        [
            delta(1, role="assistant", content="B"),
            delta(0, role="assistant", content="A"),
            delta(1, finish_reason="stop"),
            delta(0, finish_reason="length"),
        ],
        [choice(0, "length", content="A"), choice(1, content="B")],
        id="two choices",
    ),
    pytest.param(
        [
            delta(role="assistant", reasoning_content="Be"),
            delta(reasoning_content="cause", reasoning_details=[{"a": 1}]),
            delta(refusal="No", reasoning_details=[{"b": 2}], finish_reason="stop"),
        ],
        [choice(reasoning_content="Because", reasoning_details=[{"a": 1}, {"b": 2}], refusal="No")],
        id="reasoning and refusal",
    ),
]


@pytest.mark.parametrize(("chunks", "choices"), STREAMED)
def test_a_stream_is_put_together_to_the_whole_answer(chunks: list[Any], choices: list[Any]) -> None:
    answer = seen(stream(*chunks, {"choices": [], "usage": USAGE}), is_stream=True)
    assert answer["choices"] == choices
    assert answer["usage"] == USAGE
    assert answer["object"] == "chat.completion"


def test_logprobs_of_a_stream_are_joined() -> None:
    def part(text: str) -> dict[str, Any]:
        said = {"index": 0, "delta": {"content": text}, "logprobs": {"content": [{"token": text}], "refusal": None}}
        return {"choices": [said]}

    answer = seen(stream(part("a"), part("b"), delta(finish_reason="stop")), is_stream=True)
    assert answer["choices"][0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}


@pytest.mark.parametrize(("chunks", "choices"), STREAMED)
def test_what_is_streamed_from_the_cache_is_the_same_answer_again(chunks: list[Any], choices: list[Any]) -> None:
    entry = kept(stream(*chunks), is_stream=True, choices=len(choices))
    again = seen(entry.as_stream("gen_1", 77, shows_usage=False), is_stream=True)
    assert again["choices"] == choices
    assert json.loads(entry.as_whole("gen_1", 77))["choices"] == choices


def test_a_whole_answer_is_streamed_with_one_id_and_usage_only_for_those_who_asked() -> None:
    entry = kept(whole())
    for shows_usage in (False, True):
        *events, done = split_events(entry.as_stream("gen_1", 77, shows_usage=shows_usage))
        assert done == DONE
        chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
        assert {(chunk["id"], chunk["created"], chunk["object"]) for chunk in chunks} == {
            ("gen_1", 77, "chat.completion.chunk")
        }
        assert [bool(chunk.get("usage")) for chunk in chunks].count(True) == int(shows_usage)
        assert tells_usage_only(events[-1]) is shows_usage


def test_the_pieces_hold_no_id_of_the_first_answer() -> None:
    entry = kept(whole())
    assert b'"id"' not in entry.whole
    assert all(b'"id"' not in piece for piece in entry.pieces)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (whole(choice(content="Hello", finish_reason="content_filter")), Reason.CONTENT_FILTER),
        (whole(choice(content="Hello", finish_reason="error")), Reason.ERROR),
        (whole(choice(content="Hello", finish_reason=None)), Reason.INCOMPLETE),
        (whole(choice(content="Hello", finish_reason="whatever")), Reason.UNKNOWN_FORM),
        (whole(choices=[]), Reason.INCOMPLETE),
        (whole({"index": 0, "finish_reason": "stop"}), Reason.INCOMPLETE),
        (whole(choice(content="")), Reason.EMPTY),
        (whole(choice(content=None)), Reason.EMPTY),
        (
            whole(
                choice(finish_reason="length", tool_calls=[{**CALL, "function": {"name": "f", "arguments": '{"a":'}}])
            ),
            Reason.TOOL_ARGUMENTS,
        ),
        (whole(error={"message": "overloaded"}), Reason.ERROR),
        (b'{"choices":', Reason.BROKEN),
        (b"[]", Reason.BROKEN),
        (b"<html>", Reason.BROKEN),
    ],
)
def test_an_answer_that_is_not_whole_or_not_good_is_not_kept(body: bytes, reason: Reason) -> None:
    assert why_not(body) is reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (stream(delta(content="Hel")), Reason.INCOMPLETE),
        (stream(delta(content="Hello", finish_reason="stop"), done=b""), Reason.NOT_ENDED),
        (stream(delta(content="Hello"), {"error": {"message": "overloaded"}}), Reason.ERROR),
        (stream(delta(content="Hello", finish_reason="content_filter")), Reason.CONTENT_FILTER),
        (b"data: {half\n\n" + DONE, Reason.BROKEN),
        (b"data: 5\n\n" + DONE, Reason.BROKEN),
        (stream(delta(a={"b": 1}), delta(a={"b": 2}, finish_reason="stop")), Reason.UNKNOWN_FORM),
        (stream({"choices": [{"index": "x"}]}), Reason.BROKEN),
        (stream(delta(tool_calls=[{"index": 5}])), Reason.BROKEN),
        (b"", Reason.NOT_ENDED),
    ],
)
def test_a_stream_that_broke_or_cannot_be_understood_is_not_kept(body: bytes, reason: Reason) -> None:
    assert why_not(body, is_stream=True) is reason


def test_comments_and_other_line_ends_of_a_stream_do_not_matter() -> None:
    body = stream(delta(content="Hello", finish_reason="stop")).replace(b"\n", b"\r\n")
    answer = seen(b": PROCESSING\r\n\r\nevent: message\r\n" + body, is_stream=True)
    assert answer["choices"] == [choice(content="Hello")]


def test_fewer_answers_than_were_asked_for_are_not_kept() -> None:
    assert why_not(whole(), choices=2) is Reason.INCOMPLETE


def test_an_answer_larger_than_the_bound_is_not_kept() -> None:
    body = whole(choice(content="x" * 1000))
    assert why_not(body, most_bytes=1000) is Reason.TOO_LARGE
    assert kept(body, most_bytes=2000).size > 2000


@pytest.mark.parametrize(
    ("fields", "controls", "reason"),
    [
        ({}, Controls(), None),
        ({"temperature": 1}, Controls(), None),
        ({"temperature": 1.01}, Controls(), Reason.TEMPERATURE),
        ({"temperature": 1.5}, Controls(buckets=3), None),
        ({"temperature": "hot"}, Controls(), None),
        ({"web_search_options": {}}, Controls(), Reason.LIVE_DATA),
        ({"plugins": [{"id": "web"}]}, Controls(), Reason.LIVE_DATA),
        ({"modalities": ["text", "audio"]}, Controls(), Reason.AUDIO),
        ({"messages": [{"role": "user", "content": "Hi"}] * 60}, Controls(), None),
    ],
)
def test_requests_whose_answers_differ_each_time_are_not_looked_up(
    fields: dict[str, Any], controls: Controls, reason: Reason | None
) -> None:
    assert why_not_looked_up(fields, controls, most_temperature=1.0) is reason
