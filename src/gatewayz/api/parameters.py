"""Query parameters as data: read by one parser, shown in the OpenAPI document, named in every error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol
from urllib.parse import unquote_plus

from gatewayz.core.errors import InvalidRequest
from gatewayz.core.nearest import hint

_MAX_QUERY = 4096


class Parameter(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def default(self) -> Any: ...  # noqa: ANN401  each kind has a value type of its own
    @property
    def description(self) -> str: ...
    def read(self, text: str) -> Any:  # noqa: ANN401
        """The value of `text`. Raises ValueError that says what is allowed."""
        ...

    def schema(self) -> dict[str, Any]:
        """Its JSON schema for the OpenAPI document."""
        ...


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds."""

    name: str
    description: str
    minimum: int
    maximum: int
    default: int | None = None

    def read(self, text: str) -> int:
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise ValueError(f"must be a whole number from {self.minimum} to {self.maximum}")
        value = int(text)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"must be from {self.minimum} to {self.maximum}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True)
class Amount:
    """A decimal number, zero or more."""

    name: str
    description: str
    default: Decimal | None = None

    def read(self, text: str) -> Decimal:
        try:
            value = Decimal(text if text.isascii() and "_" not in text else "")
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or value < 0:
            raise ValueError("must be a decimal number, zero or more")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0}


@dataclass(frozen=True)
class Choice:
    name: str
    description: str
    choices: tuple[str, ...]
    default: str

    def read(self, text: str) -> str:
        if text not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True)
class Flag:
    name: str
    description: str
    default: bool = False

    def read(self, text: str) -> bool:
        value = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
        if value is None:
            raise ValueError("must be true or false")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Text:
    name: str
    description: str
    default: str | None = None
    shortest: int = 1
    longest: int = 200

    def read(self, text: str) -> str:
        if not self.shortest <= len(text) <= self.longest:
            raise ValueError(f"must have {self.shortest} to {self.longest} characters")
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": self.shortest, "maxLength": self.longest}


class Query:
    """The parameters that a route takes."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._known = {parameter.name: parameter for parameter in parameters}
        self._defaults = {parameter.name: parameter.default for parameter in parameters}

    def read(self, query: bytes) -> dict[str, Any]:
        """Every declared parameter with its value or default. Raises InvalidRequest that names the field."""
        values = self._defaults.copy()
        for name, text in _pairs(query).items():
            parameter = self._known.get(name)
            if parameter is None:
                raise InvalidRequest(unknown_name("query parameter", name, self._known), param=name)
            try:
                values[name] = parameter.read(text)
            except ValueError as error:
                raise InvalidRequest(f"{name!r} {error}, not {text[:80]!r}", param=name) from error
        return values


def unknown_name(what: str, name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    """A sentence that says what is unknown and names the nearest that is known, else a few that are."""
    nearest = hint(name, known, otherwise=f"known: {', '.join(sorted(known)[:20]) or 'none'}")
    return f"unknown {what} {name[:80]!r}; {nearest}"


def _pairs(query: bytes) -> dict[str, str]:
    """Names and texts of a query, decoded where they are coded; the usual one is not, and is only cut up."""
    if len(query) > _MAX_QUERY:
        raise InvalidRequest(f"the query is longer than {_MAX_QUERY} bytes")
    pairs: dict[str, str] = {}
    try:
        for field in query.decode("ascii").split("&"):
            name, _, text = field.partition("=")
            if "%" in field or "+" in field:
                name, text = unquote_plus(name, errors="strict"), unquote_plus(text, errors="strict")
            if name in pairs:
                raise InvalidRequest(f"{name[:80]!r} is given more than once", param=name)
            if field:
                pairs[name] = text
    except UnicodeError as error:
        raise InvalidRequest(f"the query cannot be read: {error}") from error
    return pairs
