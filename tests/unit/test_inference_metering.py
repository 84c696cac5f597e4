"""What an answer used, however its bytes are cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayz.inference.metering import StreamMeter, Usage, usage_of

DELTA = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
NULL_USAGE = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}\n\n'
USAGE = (
    b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,'
    b'"prompt_tokens_details":{"cached_tokens":4}}}\n\n'
)
LAST_WITH_USAGE = b'data: {"choices":[{"index":0,"delta":{}}], "usage": {"prompt_tokens":7,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
USED = Usage(prompt=7, completion=3, cached=4)


def through(meter: StreamMeter, chunks: list[bytes]) -> bytes:
    return b"".join(map(meter.feed, chunks)) + meter.end()


@given(cuts=st.lists(st.integers(0, 400)), shows=st.booleans(), crlf=st.booleans())
def test_however_a_stream_is_cut_the_same_goes_on_and_the_usage_is_known(
    cuts: list[int], *, shows: bool, crlf: bool
) -> None:
    events = [DELTA, COMMENT, NULL_USAGE, USAGE, DONE]
    expected = b"".join(events if shows else [each for each in events if each is not USAGE])
    stream = b"".join(events)
    if crlf:
        stream, expected = stream.replace(b"\n", b"\r\n"), expected.replace(b"\n", b"\r\n")
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    meter = StreamMeter(shows_usage=shows)
    assert through(meter, [stream[a:b] for a, b in pairwise(places)]) == expected
    assert meter.usage == USED
    assert meter.events == 4


def test_an_event_with_usage_and_content_goes_on_to_who_did_not_ask_for_usage() -> None:
    meter = StreamMeter(shows_usage=False)
    assert through(meter, [LAST_WITH_USAGE, DONE]) == LAST_WITH_USAGE + DONE
    assert meter.usage == Usage(prompt=7, completion=3)


def test_whole_events_go_on_at_once_and_half_ones_once_they_are_whole_or_over() -> None:
    meter = StreamMeter(shows_usage=False)
    assert meter.feed(DELTA + b"data: {") == DELTA
    assert meter.feed(b"}\n\n") == b"data: {}\n\n"
    assert meter.feed(b"data: {") == b""
    assert meter.end() == b"data: {"


def test_words_that_look_like_usage_inside_an_answer_are_no_usage() -> None:
    said = (
        b"data: "
        + json.dumps({"choices": [{"delta": {"content": '"usage": {"prompt_tokens": 9}'}}]}).encode()
        + b"\n\n"
    )
    meter = StreamMeter(shows_usage=False)
    assert through(meter, [said]) == said
    assert meter.usage is None


@pytest.mark.parametrize(
    ("body", "used"),
    [
        (b'{"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}', USED),
        (b'{"usage":{"prompt_tokens":7}}', Usage(prompt=7)),
        (b'{"usage":{"prompt_tokens":7,"completion_tokens":null}}', Usage(prompt=7)),
        (b'{"usage":{"prompt_tokens":-7,"completion_tokens":-3}}', Usage()),
        (b'{"usage":{"prompt_tokens":2,"prompt_tokens_details":{"cached_tokens":9}}}', Usage(prompt=2, cached=2)),
        (
            b'{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3}}}',
            Usage(prompt=9, cached=4, cache_write=3),
        ),
        (
            b'{"usage":{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3}}}',
            Usage(prompt=5, cached=4, cache_write=1),
        ),
        (
            b'{"usage":{"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":4}}}',
            Usage(completion=9, reasoning=4),
        ),
        (
            b'{"usage":{"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":4}}}',
            Usage(completion=2, reasoning=2),
        ),
        (b'{"usage":null}', None),
        (b"{}", None),
        (b"not JSON", None),
        (b'{"usage":"\xff"}', None),
        (b"[" * 100_000, None),
    ],
)
def test_the_usage_of_a_whole_answer_is_read_and_never_negative(body: bytes, used: Usage | None) -> None:
    assert usage_of(body) == used
