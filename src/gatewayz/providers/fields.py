"""Reads the fields of one row. What cannot be believed is dropped, named, and never fatal."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from gatewayz.providers.listing import PRICE_FIELDS, RefusedRow
from gatewayz.providers.prices import BadPriceError, is_dynamic, read_number, share, shown, usd
from gatewayz.providers.shapes.form import Flag, PriceAt, Row

_LONGEST_COUNT = 1_000_000_000
_LATEST_MOMENT = 4_102_444_800  # the year 2100 in Unix seconds; what lies beyond was not written in seconds
_MOST_WORDS = 200
_LONGEST_WORD = 100


def at(row: object, path: str) -> object:
    """The value at a dotted path, None where the path leads nowhere."""
    value = row
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def clean(text: str, longest: int) -> str:
    """The text with nothing in it that a database or a terminal refuses, at most `longest` characters."""
    return text[:longest].replace("\0", "").encode("utf-8", "replace").decode().strip()


class RowReader:
    """Reads one row; `refused` collects what was dropped of it. Not to be shared."""

    def __init__(self, native_id: str, row: Row) -> None:
        self.native_id = native_id
        self.row = row
        self.refused: list[RefusedRow] = []

    def first(self, paths: Iterable[str]) -> object:
        """The first value that is there, None where none is."""
        return next((value for path in paths if (value := at(self.row, path)) not in (None, "")), None)

    def text(self, paths: Iterable[str], longest: int) -> str | None:
        value = self.first(paths)
        if value is None:
            return None
        if not isinstance(value, str):
            self._drop("bad_text", value)
            return None
        return clean(value, longest) or None

    def count(self, paths: Iterable[str], reason: str) -> int | None:
        """A whole number from 1 to 1e9; dropped for `reason` where there is another value."""
        value = self.first(paths)
        if value is None:
            return None
        number = _whole(value)
        if number is None or not 1 <= number <= _LONGEST_COUNT:
            self._drop(reason, value)
            return None
        return number

    def moment(self, paths: Iterable[str]) -> int | None:
        """Unix seconds, of a number or of ISO 8601 (UTC where it names no zone). Zero is unknown."""
        value = self.first(paths)
        if value is None or (value == 0 and not isinstance(value, bool)):
            return None
        seconds = _iso_seconds(value) if isinstance(value, str) else None
        if seconds is None:
            seconds = _whole(value)
        if seconds is None or not 0 < seconds < _LATEST_MOMENT:
            self._drop("bad_created", value)
            return None
        return seconds

    def words(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Lower-case words in their order, each once."""
        value = self.first(paths)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > _MOST_WORDS:
            self._drop("bad_list", value)
            return ()
        return _words(value)

    def flag(self, places: Iterable[Flag]) -> bool | None:
        for place in places:
            value = at(self.row, place.path)
            if place.words and isinstance(value, list):
                return not place.words.isdisjoint(_words(value[:_MOST_WORDS]))
            if not place.words and isinstance(value, bool):
                return value
        return None

    def prices(self, places: Mapping[str, tuple[PriceAt, ...]]) -> tuple[dict[str, Decimal], bool]:
        """US dollars per token or piece, and whether any of them is dynamic."""
        prices: dict[str, Decimal] = {}
        dynamic = False
        for field in PRICE_FIELDS:
            for place in places.get(field, ()):
                raw = at(self.row, place.path)
                try:
                    number = read_number(raw)
                    if number is None:
                        continue
                    if is_dynamic(number):
                        dynamic = True
                    elif (price := _price(number, place, prices)) is not None:
                        prices[field] = price
                except BadPriceError:
                    self._drop("bad_price", raw, field)
                break
        return prices, dynamic

    def _drop(self, reason: str, value: object, field: str | None = None) -> None:
        detail = shown(value) if field is None else f"{field}: {shown(value)}"
        self.refused.append(RefusedRow(self.native_id, reason, detail))


def _price(number: Decimal, place: PriceAt, known: Mapping[str, Decimal]) -> Decimal | None:
    if place.share_of is None:
        return usd(number, place.unit)
    return share(known[place.share_of], number) if place.share_of in known else None


def _words(values: Iterable[object]) -> tuple[str, ...]:
    words = (clean(value, _LONGEST_WORD).lower() for value in values if isinstance(value, str))
    return tuple(dict.fromkeys(word for word in words if word))


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        return int(value)
    return None


def _iso_seconds(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if text.strip().isdecimal():
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return math.floor(moment.timestamp())
