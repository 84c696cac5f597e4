"""W3C's traceparent, as callers may send it."""

import pytest

from gatewayz.core.trace_context import trace_context

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def never() -> bool:
    return False


@pytest.mark.parametrize(("flags", "is_sampled"), [("01", True), ("00", False), ("03", True), ("02", False)])
def test_a_callers_trace_is_gone_on_with(flags: str, is_sampled: bool) -> None:  # noqa: FBT001  a case
    found = trace_context(f"00-{TRACE}-{PARENT}-{flags}", never)
    assert (found.trace, found.parent, found.is_sampled) == (TRACE, PARENT, is_sampled)
    assert len(found.span) == 16
    assert found.span != PARENT
    assert found.header("0123456789abcdef") == f"00-{TRACE}-0123456789abcdef-{'01' if is_sampled else '00'}"


def test_a_later_version_may_say_more() -> None:
    assert trace_context(f"cc-{TRACE}-{PARENT}-01-what-comes", never).trace == TRACE


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "rubbish",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
    ],
)
def test_what_is_no_traceparent_begins_a_trace(sent: str | None) -> None:
    found = trace_context(sent, lambda: True)
    assert found.trace != TRACE
    assert (len(found.trace), found.parent, found.is_sampled) == (32, "", True)
