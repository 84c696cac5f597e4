"""Which form of an answer a client takes: its content coding and whether it has the answer already."""

from functools import lru_cache
from typing import Literal

Coding = Literal["identity", "gzip", "zstd"]

# In the order of our preference: smallest for the client's work first.
_CODINGS: tuple[Coding, ...] = ("zstd", "gzip")


@lru_cache(maxsize=512)
def choose_coding(accept_encoding: bytes) -> Coding:
    """The best coding that an Accept-Encoding header admits (RFC 9110 §12.5.3)."""
    weights = dict(_weighted(item) for item in accept_encoding.decode("latin-1").lower().split(","))
    fallback = weights.get("*", 0.0)
    acceptable = [(weights.get(coding, fallback), -rank) for rank, coding in enumerate(_CODINGS)]
    weight, rank = max(acceptable)
    return _CODINGS[-rank] if weight > 0 and weight >= weights.get("identity", 0.0) else "identity"


def is_known_to_client(if_none_match: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match header names the answer's tag. GET compares weakly (RFC 9110 §13.1.2)."""
    if if_none_match.strip() == b"*":
        return True
    offered = {tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")}
    return etag in offered


def _weighted(item: str) -> tuple[str, float]:
    name, _, parameters = item.partition(";")
    weight = 1.0
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                weight = 0.0
    return name.strip(), weight
