"""One text for all requests that mean the same.

Two requests have the same canonical form exactly if their fields that can change the answer have equal values: the
order of members, white space, escapes, and how a number is written do not matter, nor do defaults that are spelled out.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gatewayz.responses.fields import FIELDS, Field

_BOUND, _OLD_BOUND = "max_completion_tokens", "max_tokens"
_EXACT = 2**53
"""From here on a double no longer tells one integer from the next."""


class NoCanonicalForm(Exception):
    """The request holds what no two readers of JSON take for the same: it goes past the cache."""


def _number(text: str) -> int | float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NoCanonicalForm(f"{text[:40]!r} is beyond the range of numbers")
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


_decode = msgspec.json.Decoder(float_hook=_number).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def decoded(body: bytes) -> Any:  # noqa: ANN401  any JSON
    """The values of a body, whole numbers as integers however they are written. Of members that stand twice the last
    counts. Raises NoCanonicalForm, or what msgspec and Python do for what is no JSON.
    """
    return _decode(body)


def canonical(fields: Mapping[str, Any], table: Mapping[str, Field] = FIELDS) -> bytes:
    """Of a request as `decoded` gives it, whose fields are in the table. Raises NoCanonicalForm."""
    kept = {}
    for name, value in fields.items():
        if value is None:
            continue
        if name == _OLD_BOUND and fields.get(_BOUND) is None:
            name = _BOUND  # noqa: PLW2901  the same by its former name
        field = table.get(name)
        if field is None:
            kept[name] = value
        elif field.is_key:
            said = _spelled(name, value)
            if not _is_said_by_silence(said, field.same_as_absent):
                kept[name] = said
    return written(kept)


def written(value: Any) -> bytes:  # noqa: ANN401  any JSON
    """The one text of a value. Raises NoCanonicalForm."""
    try:
        return _encode(value)
    except (UnicodeEncodeError, RecursionError) as error:
        raise NoCanonicalForm(f"the request has no canonical form: {error}") from error


def _spelled(name: str, value: Any) -> Any:  # noqa: ANN401  any JSON
    """The one spelling of values that have two."""
    if name == "stop" and isinstance(value, str):
        return [value]
    if name == "messages" and isinstance(value, list):
        return [_without_nulls(message) if isinstance(message, dict) else message for message in value]
    return value


def _without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    """Clients write what they do not say as null, or leave it out."""
    if None not in message.values():
        return message
    return {name: value for name, value in message.items() if value is not None}


def _is_said_by_silence(value: object, silent: tuple[Any, ...]) -> bool:
    """Python takes True for 1, JSON does not."""
    return any(value == each and isinstance(value, bool) is isinstance(each, bool) for each in silent)
