"""Encoded pieces in an order, so that a page of them is two slices and one join."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Protocol

from msgspec import Struct

from gatewayz.catalog.fragments import encode

_DIGEST = 16


class Listed(Protocol):
    """Pieces of JSON in an order."""

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> tuple[list[bytes], bytes]:
        """The pieces from `start` to before `stop`, and a digest over exactly these."""
        ...


class Fragments(Struct, frozen=True):
    """Pieces encoded once, with a digest of each, so that a page's ETag costs no reading of its bytes."""

    pieces: Sequence[bytes]
    digests: Sequence[bytes]

    @classmethod
    def of(cls, forms: Iterable[object]) -> "Fragments":
        pieces = [encode(form) for form in forms]
        return cls(pieces, [blake2b(piece, digest_size=_DIGEST).digest() for piece in pieces])


class Layout:
    """A fixed order laid out: what is asked for often, such as a whole list or a sorted one."""

    __slots__ = ("_digests", "_pieces")

    def __init__(self, fragments: Fragments, numbers: Iterable[int]) -> None:
        chosen = list(numbers)
        self._pieces = [fragments.pieces[number] for number in chosen]
        self._digests = b"".join([fragments.digests[number] for number in chosen])

    def __len__(self) -> int:
        return len(self._pieces)

    def part(self, start: int, stop: int) -> tuple[list[bytes], bytes]:
        return self._pieces[start:stop], self._digests[start * _DIGEST : stop * _DIGEST]


class Selection:
    """A passing order, such as what a search found: only the part that is asked for is looked up."""

    __slots__ = ("_fragments", "_numbers")

    def __init__(self, fragments: Fragments, numbers: Sequence[int]) -> None:
        self._fragments = fragments
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def part(self, start: int, stop: int) -> tuple[list[bytes], bytes]:
        return Layout(self._fragments, self._numbers[start:stop]).part(0, stop - start)
