"""What servers of a cluster say of where a key is, and of who has which slots."""

import pytest
from hiredis import ReplyError

from gatewayz.cache.cluster_view import Range, View, view_of
from gatewayz.cache.wire.redirects import Redirect, redirect_of
from gatewayz.cache.wire.standing import Standing, standing_of


@pytest.mark.parametrize(
    ("reply", "redirect"),
    [
        (ReplyError("MOVED 3999 10.0.0.1:6379"), Redirect(3999, "10.0.0.1", 6379, once=False)),
        (ReplyError("ASK 1 ::1:7000"), Redirect(1, "::1", 7000, once=True)),
        (ReplyError("MOVED 5 :6379"), Redirect(5, "", 6379, once=False)),
        (ReplyError("MOVED 5 ?:6379"), Redirect(5, "", 6379, once=False)),
        (ReplyError("MOVED"), None),
        (ReplyError("MOVED x y"), None),
        (ReplyError("TRYAGAIN later"), None),
        (b"MOVED 3999 10.0.0.1:6379", None),
    ],
)
def test_a_redirect_is_read(reply: object, redirect: Redirect | None) -> None:
    assert redirect_of(reply) == redirect


def info(state: str = "ok") -> bytes:
    return f"cluster_state:{state}\r\ncluster_current_epoch:7\r\n".encode()


def test_a_view_has_the_primary_of_each_range() -> None:
    slots = [[100, 200, [b"", 7001, b"id"]], [0, 99, [b"10.0.0.1", 7000, b"id", []], [b"10.0.0.9", 7000, b"id", []]]]
    ranges = (Range(0, 99, ("10.0.0.1", 7000)), Range(100, 200, ("10.0.0.2", 7001)))
    assert view_of([info(), slots], "10.0.0.2") == View(7, ranges)


@pytest.mark.parametrize("replies", [[info("fail"), []], [ReplyError("ERR no cluster"), []], [info(), ReplyError("x")]])
def test_a_server_that_was_left_behind_has_no_view(replies: list[object]) -> None:
    assert view_of(replies, "h") is None


@pytest.mark.parametrize(
    ("hello", "said", "standing"),
    [
        ({b"role": b"master"}, b"role:master\r\nmaster_replid:abc\r\n", Standing(leads=True, history="abc")),
        ({b"role": b"replica"}, ReplyError("NOPERM"), Standing(leads=False, history=None)),
        ({b"role": b"master"}, b"role:slave\r\nmaster_replid:abc\r\n", Standing(leads=False, history="abc")),
        ({}, ReplyError("NOPERM"), Standing(leads=True, history=None)),
    ],
)
def test_a_standing_is_read_from_what_may_be_known(hello: object, said: object, standing: Standing) -> None:
    assert standing_of(hello, said) == standing
