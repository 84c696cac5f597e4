"""An answer of vectors in OpenAI's form: one for each text, by number."""

import msgspec
from msgspec import Raw

from gatewayz.core.unreadable import UNREADABLE

_entries = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class NoVectors(Exception):
    """The answer has not one vector for each text; it says what is wrong with it."""


class Vectors(msgspec.Struct, frozen=True):
    """`entries`: of `data`, in the order of the texts. `head`: all else, but for `usage`. Everything as it came."""

    entries: list[dict[str, Raw]]
    head: dict[str, Raw]
    usage: Raw | None


def vectors_in(body: bytes, texts: int) -> Vectors:
    """Raises NoVectors."""
    try:
        head = _fields(body)
        entries = _entries(head.pop("data", b"[]"))
        numbered = {msgspec.json.decode(entry["index"], type=int): entry for entry in entries}
    except (*UNREADABLE, KeyError) as error:
        raise NoVectors("sent what is no list of vectors") from error
    if len(entries) != texts or numbered.keys() != set(range(texts)):
        raise NoVectors(f"sent vectors {sorted(numbered)[:8]} for {texts} texts")
    if not all(bytes(entry.get("embedding", b""))[:1] in {b"[", b'"', b"{"} for entry in entries):
        raise NoVectors("sent an entry without a vector")
    return Vectors([numbered[index] for index in range(texts)], head, head.pop("usage", None))
