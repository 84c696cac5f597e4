"""What Redis is asked in a read, and what its replies say."""

import functools
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

from msgspec import Struct

from gatewayz.cache import scripts
from gatewayz.cache.codec import opened
from gatewayz.cache.reading import Question, Reading
from gatewayz.cache.scope import Held
from gatewayz.cache.wire.exchange import Packed

LARGEST_IN_LINE = 64 * 1024  # what is larger would keep others waiting, and goes over a second connection

KnownTag: TypeAlias = Callable[[str], Held | None]
"""What is known of a tag's scope without asking."""

BARE_LASTS = 300.0
"""Seconds for which Redis keeps an entry without a value, with its generation and its floor."""

_BARE_LASTS = int(BARE_LASTS * 1000)
TOKEN_BYTES = 17
_READ_ARGUMENTS = 7
_EMPTY = b"$0\r\n\r\n"


class Dead(Struct, frozen=True):
    """There is a value, and it does not count any more."""

    stamp: bytes


class Unread(Enum):
    """A value that is too large to come in line, or with tags of which nothing is known."""

    TOO_LARGE = "too large"
    UNKNOWN_TAGS = "unknown tags"


Judgement: TypeAlias = Reading[Any] | Dead | Unread


def read_call(key: str, question: Question, *, lease: float, most: int = LARGEST_IN_LINE) -> Packed:
    """`lease`: seconds it lasts. `most`: bytes of a value that may come in line; 0: any."""
    name, token = key.encode(), question.lease
    return _call_form(lease, most) % (
        len(name),
        name,
        _bulk(question.stamp) if question.stamp else _EMPTY,
        _bulk(question.dead) if question.dead else _EMPTY,
        len(token),
        token,
        _bulk(question.awaited) if question.awaited else _EMPTY,
    )


@functools.cache
def _call_form(lease: float, most: int) -> bytes:
    """The call with those arguments that are always the same: packing them anew would cost more than all others."""
    script = scripts.packed_name(scripts.READ, _READ_ARGUMENTS)
    return b"%b$%%d\r\n%%b\r\n%%b%%b$%%d\r\n%%b\r\n%b%%b" % (script, _bounds(lease, most))


def bare_read_form(lease: float) -> bytes:
    """What `read_call` makes for who has nothing at hand and waits for nobody, as for nearly every read: to be filled
    with the length of the key, the key, and a token of TOKEN_BYTES.
    """
    script, bounds = scripts.packed_name(scripts.READ, _READ_ARGUMENTS), _bounds(lease, LARGEST_IN_LINE)
    return b"%b$%%d\r\n%%b\r\n%b%b$%d\r\n%%b\r\n%b%b" % (script, _EMPTY, _EMPTY, TOKEN_BYTES, bounds, _EMPTY)


def _bounds(lease: float, most: int) -> bytes:
    return b"".join(_bulk(b"%d" % number) for number in (int(lease * 1000), _BARE_LASTS, most))


def _bulk(part: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(part), part)


def was_rubbish(reply: Any) -> bool:  # noqa: ANN401  as it comes
    """Whether something else than an entry stood there."""
    return type(reply) is list and bool(reply[2])


def stamp_in(reply: Any) -> bytes:  # noqa: ANN401  as it comes
    """Of the value, be it there or dead; b"" where there is none."""
    stamp: bytes = reply[1] if type(reply) is list else _value_parts(reply)[1]
    return stamp


def value_in(reply: bytes) -> bytes:
    """The sealed envelope, in a reply that has one."""
    return _value_parts(reply)[3]


def _value_parts(reply: bytes) -> list[bytes]:
    """Generation, stamp, sign, value, of which none but the last holds a space."""
    return reply.split(b" ", 3)


def judged(  # noqa: PLR0911  one for each kind of reply
    reply: Any,  # noqa: ANN401  as it comes
    lease: bytes,
    whole: Held,
    known_tag: KnownTag,
    order: int,
) -> Judgement:
    """Whether there is a value and it is alive: the one place where that is decided. It is not decoded yet. `lease`:
    the token of the lease that was asked for. Raises Rubbish.
    """
    if type(reply) is list:
        return _missing(reply, lease, whole, order)
    generation, stamp, sign, raw = _value_parts(reply)
    if not stamp.startswith(whole.generation + b":"):
        return Dead(stamp)
    if sign == b"=":
        return Reading(order, generation, whole, stamp, same=True)
    if sign == b">":
        return Unread.TOO_LARGE
    envelope = opened(raw)
    if envelope.life.created < whole.cutoff:
        return Dead(stamp)
    if not envelope.life.tags:
        return Reading(order, generation, whole, stamp, envelope)
    known = [known_tag(tag) for tag in envelope.life.tags]
    tags = tuple(held for held in known if held is not None)
    if len(tags) < len(known):
        return Unread.UNKNOWN_TAGS
    if tuple(held.generation for held in tags) != envelope.generations:
        return Dead(stamp)
    return Reading(order, generation, whole, stamp, envelope, tags)


def _missing(reply: Any, lease: bytes, whole: Held, order: int) -> Reading[Any]:  # noqa: ANN401  as it comes
    generation, stamp, _rubbish, held, since, floor, holder, why = reply
    return Reading(
        order=order,
        generation=generation,
        whole=whole,
        stamp=stamp,
        lease=lease if held < 0 else b"",
        busy=max(0, held) / 1000,
        holder=holder,
        failed=why.decode(errors="replace"),
        since=int(since),
        floor=max(int(floor), whole.floor),
    )
