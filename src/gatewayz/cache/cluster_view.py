"""Which server has which slots, as one server of a cluster sees it."""

from typing import Any, TypeAlias

from hiredis import ReplyError
from msgspec import Struct

from gatewayz.cache.wire.exchange import Command

Address: TypeAlias = tuple[str, int]

SLOTS = 16_384
ASK_VIEW: tuple[Command, ...] = (("CLUSTER", "INFO"), ("CLUSTER", "SLOTS"))


class Range(Struct, frozen=True):
    first: int
    last: int
    primary: Address


class View(Struct, frozen=True):
    """`epoch` grows with every failover: of two views the one with the greater is the newer."""

    epoch: int
    ranges: tuple[Range, ...]


def view_of(replies: list[Any], asked: str) -> View | None:
    """From the replies to `ASK_VIEW` of the server at host `asked`; None where it refuses or says that the cluster is
    down, so that it may well be the one that was left behind.
    """
    info, slots = replies
    if isinstance(info, ReplyError) or isinstance(slots, ReplyError):
        return None
    facts = dict(line.split(":", 1) for line in info.decode(errors="replace").splitlines() if ":" in line)
    if facts.get("cluster_state") != "ok":
        return None
    ranges = (_range(each, asked) for each in slots)
    return View(int(facts["cluster_current_epoch"]), tuple(sorted(ranges, key=lambda each: each.first)))


def _range(reply: list[Any], asked: str) -> Range:
    first, last, (host, port, *_), *_replicas = reply
    known = (host or b"").decode()
    return Range(int(first), int(last), (asked if known in ("", "?") else known, int(port)))
