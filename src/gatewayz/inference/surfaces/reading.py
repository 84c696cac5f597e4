"""What the caller asked for, in whichever form: fields that are each taken once, and refusals by their names."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from gatewayz.core.errors import InvalidRequest
from gatewayz.core.unreadable import UNREADABLE
from gatewayz.providers.dialects.asked import ABSENT, read

T = TypeVar("T")

Form = dict[str, Any]


class Fields:
    """The members of a request's body; null is as good as absent. `rest`: what nobody took, as it came."""

    def __init__(self, body: bytes) -> None:
        """Raises InvalidRequest where the body is no JSON object."""
        try:
            found = msgspec.json.decode(body, type=dict[str, Raw])
        except UNREADABLE as error:
            raise InvalidRequest(f"the request body is no JSON object: {error}") from error
        self.rest = {name: raw for name, raw in found.items() if raw != ABSENT}

    def take(self, field: str, kind: type[T]) -> T | None:
        """Raises InvalidRequest that names the field, where its value is of another kind."""
        raw = self.rest.pop(field, None)
        return None if raw is None else read(field, raw, kind)

    def need(self, field: str, kind: type[T]) -> T:
        """Raises InvalidRequest that names the field, where it is not there."""
        value = self.take(field, kind)
        if value is None:
            raise InvalidRequest(f"{field!r} is missing", param=field)
        return value

    def leave_out(self, fields: Iterable[str]) -> None:
        for field in fields:
            self.rest.pop(field, None)

    def refuse(self, refusals: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
        """By field: the values that ask for nothing, and why any other cannot be had."""
        for field, (nothing, reason) in refusals.items():
            raw = self.rest.pop(field, None)
            if raw is not None and read(field, raw, object) not in nothing:
                raise refused(field, reason)


def refused(field: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{field!r}: {reason}", param=field)


def plain(parts: list[Form]) -> str | list[Form]:
    """A lone text is the same as what it says, and is written so: it then has the same place in the cache."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def without_nones(**fields: Any) -> Form:  # noqa: ANN401  any JSON
    return {name: value for name, value in fields.items() if value is not None and value != ABSENT}
