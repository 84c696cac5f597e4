"""Server-sent events, as the standard says they are read."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayz.providers.dialects.inline import Inline, read_data_url
from gatewayz.providers.dialects.sse import LONGEST_EVENT, EventParser, EventTooLong, ServerEvent

STREAM = (
    b": a comment\n\nevent: one\ndata: 1\n\ndata:two\ndata\ndata:  lines\nid: 7\n\n"
    b"event: nothing\n\ndata: last\n\ndata: half"
)
EVENTS = [ServerEvent("one", b"1"), ServerEvent("message", b"two\n\n lines"), ServerEvent("message", b"last")]


@given(places=st.lists(st.integers(0, len(STREAM) * 2)), line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_events_are_the_same_however_the_stream_is_cut_and_half_ones_are_none(
    places: list[int], line_end: bytes
) -> None:
    stream = STREAM.replace(b"\n", line_end)
    ends = sorted({0, len(stream), *(place for place in places if place < len(stream))})
    parser = EventParser()
    found = [event for a, b in pairwise(ends) for event in parser.feed(stream[a:b])]
    assert found == EVENTS


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_events_are_the_same_byte_by_byte(line_end: bytes) -> None:
    parser, stream = EventParser(), STREAM.replace(b"\n", line_end)
    assert [event for at in range(len(stream)) for event in parser.feed(stream[at : at + 1])] == EVENTS


def test_an_event_goes_on_with_the_last_byte_of_its_end() -> None:
    parser = EventParser()
    assert parser.feed(b"data: 1\n") == []
    assert parser.feed(b"\n") == [ServerEvent("message", b"1")]


@pytest.mark.parametrize("chunk", [b"x" * 1024 * 1024, b"data: " + b"x" * 1024 * 1024 + b"\n"])
def test_an_event_without_an_end_is_not_waited_for_for_ever(chunk: bytes) -> None:
    parser = EventParser()

    def feed() -> None:
        for _ in range(LONGEST_EVENT // len(chunk) + 2):
            parser.feed(chunk)

    with pytest.raises(EventTooLong):
        feed()


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("data:image/png;base64,QUJD", Inline("image/png", "QUJD")),
        ("data:image/svg+xml;charset=utf-8;base64,QUJD", Inline("image/svg+xml", "QUJD")),
        ("data:image/png,QUJD", None),
        ("data:;base64,QUJD", None),
        ("https://p.example/data:image/png;base64,QUJD", None),
    ],
)
def test_a_data_url_is_its_type_and_its_base64(url: str, found: Inline | None) -> None:
    assert read_data_url(url) == found
