"""One text's vector as it is kept, and answers made of such."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gatewayz.responses.answer import Origin

_encode = msgspec.json.encode
NOTHING_USED = Raw(_encode({"prompt_tokens": 0, "total_tokens": 0}))


class Vector(Struct, frozen=True, kw_only=True):
    """`item`: its entry of an answer's `data` as the provider wrote it, without what `answer_of` puts before it.
    `model`: what the provider calls it. Of `origin` the tokens, and what they cost, are its share of those of the call
    that it came with. `created`: Unix seconds. `ttl`: for how many seconds it is good.
    """

    origin: Origin
    created: float
    ttl: float
    model: str
    item: bytes


def item_of(entry: Mapping[str, Raw]) -> bytes:
    """An entry of `data` as it is kept."""
    return _encode({name: value for name, value in entry.items() if name != "index"})[1:]


def answer_of(
    vectors: Sequence[Vector], *, head: Mapping[str, Raw] | None, usage: Raw | None, cached: Iterable[Vector]
) -> bytes:
    """A whole answer. `head`: what the provider says of it as a whole, None where none was asked. `cached`: those of
    the vectors for which none was.
    """
    said = b",".join([b'{"index":%d,%b' % (index, vector.item) for index, vector in enumerate(vectors)])
    form: dict[str, Any] = {"object": "list", "model": vectors[0].model} if head is None else dict(head)
    form["data"] = Raw(b"[%b]" % said)
    if usage is not None:
        form["usage"] = usage
    origins = [vector.origin for vector in cached]
    if origins:
        tokens = sum(origin.prompt_tokens for origin in origins)
        told = {"prompt_tokens": tokens, "total_tokens": tokens}
        form["gatewayz"] = {"cached_usage": told, "provider": origins[0].provider}
    return _encode(form)


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """The total, divided by weight: whole numbers, whose sum it is."""
    sums = [0, *accumulate(weights)]
    whole = sums[-1] or 1
    return [total * after // whole - total * before // whole for before, after in pairwise(sums)]
