"""An answer that broke off is gone on with, out of the same answer made anew, or not at all."""

import json
from typing import Any

import pytest

from gatewayz.providers.dialects.completion import DONE
from gatewayz.responses.continuation import continuation
from gatewayz.responses.events import assembled, split_events

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def stream(id_: str, *chunks: dict[str, Any]) -> bytes:
    head = {"id": id_, "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"".join(b"data: " + json.dumps({**head, **chunk}).encode() + b"\n\n" for chunk in chunks) + DONE


def delta(index: int = 0, end: str | None = None, **said: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    return {"choices": [{"index": index, "delta": said, "finish_reason": end}]}


def call(index: int, arguments: str, **others: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    return {"index": index, "function": {"arguments": arguments, **others}}


CHUNKS = (
    delta(role="assistant", content="", reasoning_content="Be"),
    delta(content="Hel", reasoning_content="cause"),
    delta(1, role="assistant", content="Other"),
    delta(content="lo"),
    delta(tool_calls=[{**call(0, "", name="f"), "id": "call_1", "type": "function"}]),
    delta(tool_calls=[call(0, '{"a":')]),
    delta(tool_calls=[call(0, "1}")]),
    delta(tool_calls=[{**call(1, "{}", name="g"), "id": "call_2", "type": "function"}]),
    delta(end="tool_calls"),
    delta(1, end="stop"),
    {"choices": [], "usage": USAGE},
)
WHOLE = stream("chatcmpl-1", *CHUNKS)


@pytest.mark.parametrize("seen", range(len(CHUNKS) + 1))
def test_wherever_it_broke_off_both_parts_together_are_the_whole(seen: int) -> None:
    sent = b"".join(split_events(WHOLE)[:seen])
    rest = continuation(sent, stream("chatcmpl-2", *CHUNKS))
    assert rest is not None
    both = assembled(sent + rest)
    assert both["choices"] == assembled(WHOLE)["choices"]
    assert both["usage"] == USAGE
    if seen:
        ids = {json.loads(event.removeprefix(b"data: "))["id"] for event in split_events(sent + rest)[:-1]}
        assert ids == {"chatcmpl-1"}


@pytest.mark.parametrize(
    "other",
    [
        (delta(content="Help"), delta(end="stop")),
        (delta(content="He"), delta(end="stop")),
        (delta(content="Hello", reasoning_content="Why"), delta(end="stop")),
        (delta(1, content="Hello"), delta(1, end="stop")),
        (delta(refusal="No", end="stop"),),
    ],
)
def test_what_begins_otherwise_is_no_continuation(other: tuple[dict[str, Any], ...]) -> None:
    sent = b"".join(split_events(stream("chatcmpl-1", delta(content="Hel", reasoning_content="Be")))[:-1])
    assert continuation(sent, stream("chatcmpl-2", *other)) is None


def test_other_arguments_or_another_tool_are_no_continuation() -> None:
    sent = b"".join(split_events(stream("chatcmpl-1", delta(tool_calls=[call(0, '{"a":1', name="f")])))[:-1])
    for arguments, name in (('{"a":2}', "f"), ('{"a":1}', "g"), ("", "f")):
        again = stream("chatcmpl-2", delta(tool_calls=[call(0, arguments, name=name)]), delta(end="tool_calls"))
        assert continuation(sent, again) is None


def test_an_answer_that_breaks_off_again_is_no_continuation() -> None:
    sent = b"".join(split_events(WHOLE)[:2])
    assert continuation(sent, WHOLE.removesuffix(DONE)) is None
    assert continuation(sent, b"") is None
