"""Model lists into listings. One parser for all: what differs between providers is a shape, which is data."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain

from msgspec.structs import replace

from gatewayz.providers.errors import BrokenListing
from gatewayz.providers.fields import RowReader, at
from gatewayz.providers.listing import ListedModel, Listing, RefusedRow
from gatewayz.providers.model import ListSource, Provider
from gatewayz.providers.prices import is_free, share, shown, with_free_suffix
from gatewayz.providers.shapes.form import Row, Shape
from gatewayz.providers.shapes.kinds import KINDS

MOST_ROWS = 250_000
LONGEST_ID = 256
_LONGEST_NAME = 300
_LONGEST_DESCRIPTION = 10_000
_LONGEST_INTEGER = 40

KeyedRow = tuple[str | None, object]


def parse_listing(provider: Provider, pages: Sequence[bytes]) -> Listing:
    """The listing that a provider's pages hold. Bad rows are left out and named in `refused`.

    Raises BrokenListing where a page is no JSON or holds no rows, or there are more than MOST_ROWS.
    """
    return read_documents(provider, [decode_page(provider.slug, page) for page in pages])


def read_documents(provider: Provider, documents: Sequence[object]) -> Listing:
    """As parse_listing, of pages that are decoded already."""
    shape = _source(provider).shape
    rows = list(chain.from_iterable(_rows(provider.slug, shape, document) for document in documents))
    if len(rows) > MOST_ROWS:
        raise BrokenListing(
            f"the model list of {provider.slug!r} has {len(rows)} rows; at most {MOST_ROWS} are believed"
        )
    return with_cache_prices(provider, read_rows(provider.slug, shape, rows))


def with_cache_prices(provider: Provider, listing: Listing) -> Listing:
    """The listing with the prompt-cache prices that the provider charges as a share where its list names none."""
    shares = {
        "input_cache_read": provider.cache_price_share.read,
        "input_cache_write": provider.cache_price_share.write,
    }
    stated = {field: part for field, part in shares.items() if part is not None}
    if not stated:
        return listing
    return replace(listing, models=tuple(_with_shares(model, stated) for model in listing.models))


def _with_shares(model: ListedModel, shares: Mapping[str, Decimal]) -> ListedModel:
    prompt = model.prices.get("prompt")
    if prompt is None:
        return model
    derived = {field: share(prompt, part) for field, part in shares.items()}
    return replace(model, prices={**derived, **model.prices})


def decode_page(slug: str, page: bytes) -> object:
    """The page's JSON. `NaN` and endless numbers pass here, so that they cost a field and not the list."""
    try:
        return json.loads(page, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise BrokenListing(f"the model list of {slug!r} is not JSON; the last good list is kept") from error


def read_rows(slug: str, shape: Shape, rows: Iterable[KeyedRow]) -> Listing:
    """Reads rows of one shape. The first row with an id counts, later ones with the same id are refused."""
    models: dict[str, ListedModel] = {}
    refused: list[RefusedRow] = []
    for number, (key, row) in enumerate(rows, start=1):
        named = _admit(shape, key, row, number, models)
        if isinstance(named, RefusedRow):
            refused.append(named)
            continue
        reader = RowReader(*named)
        models[reader.native_id] = _model(shape, reader)
        refused.extend(reader.refused)
    return Listing(provider=slug, models=tuple(models.values()), refused=tuple(refused))


def static_listing(provider: Provider) -> Listing:
    """The listing of a provider whose models are known without asking."""
    return Listing(provider=provider.slug, models=provider.models)


def _source(provider: Provider) -> ListSource:
    if provider.listing is None:
        raise ValueError(f"provider {provider.slug!r} has no model list; use static_listing")
    return provider.listing


def _rows(slug: str, shape: Shape, document: object) -> Iterator[KeyedRow]:
    for path in shape.rows:
        found = at(document, path) if path else document
        if shape.keyed and isinstance(found, dict):
            return iter(found.items())
        if not shape.keyed and isinstance(found, list):
            return ((None, row) for row in found)
    places = " or ".join(repr(path) if path else "at the top" for path in shape.rows)
    raise BrokenListing(f"the model list of {slug!r} has no rows ({places}); the last good list is kept")


def _admit(
    shape: Shape, key: str | None, row: object, number: int, known: Mapping[str, object]
) -> tuple[str, Row] | RefusedRow:
    """The row with the id it goes by, or why it is left out."""
    place = f"row {number}"
    if not isinstance(row, dict):
        return RefusedRow(place, "not_an_object", shown(row if key is None else {key: row}))
    flat = shape.flatten(row) if shape.flatten else row
    raw_id = key if shape.keyed else next((v for p in shape.ids if (v := at(flat, p)) is not None), None)
    if not isinstance(raw_id, str) or not raw_id.strip():
        return RefusedRow(place, "no_id", shown(raw_id))
    native_id = _without_prefix(shape, flat, raw_id.strip())
    if (reason := _unusable(native_id)) is not None:
        return RefusedRow(place, reason, shown(raw_id))
    if native_id in known:
        return RefusedRow(native_id, "duplicate_id", place)
    return _unwanted(shape, native_id, flat) or (native_id, flat)


def _unusable(native_id: str) -> str | None:
    if len(native_id) > LONGEST_ID:
        return "id_too_long"
    return None if native_id and native_id.isprintable() else "bad_id"


def _unwanted(shape: Shape, native_id: str, row: Row) -> RefusedRow | None:
    if native_id in shape.excluded_ids:
        return RefusedRow(native_id, "not_a_model")
    for skip in shape.skips:
        if (value := at(row, skip.path)) in skip.values:
            return RefusedRow(native_id, skip.reason, shown(value))
    return None


def _without_prefix(shape: Shape, row: Row, native_id: str) -> str:
    owner = at(row, shape.id_prefix_path) if shape.id_prefix_path else None
    prefixes = (*shape.id_prefixes, f"{owner}/") if isinstance(owner, str) else shape.id_prefixes
    return next((native_id.removeprefix(p) for p in prefixes if native_id.startswith(p)), native_id)


def _model(shape: Shape, reader: RowReader) -> ListedModel:
    flags = {name: reader.flag(places) for name, places in shape.flags.items()}
    inputs, outputs, stated = _modalities(shape, reader)
    if flags.get("vision") is None and stated:
        flags["vision"] = "image" in inputs
    elif flags.get("vision") and not stated and inputs == ("text",):
        inputs = ("text", "image")
    prices, dynamic = reader.prices(shape.prices)
    kind = reader.first(shape.kind)
    if isinstance(kind, str) and kind in shape.unpriced_kinds:
        prices = {field: price for field, price in prices.items() if price}
    if not dynamic:
        prices = with_free_suffix(reader.native_id, prices)
    if flags.get("prompt_caching") is None and prices.get("input_cache_read"):
        flags["prompt_caching"] = True
    return ListedModel(
        native_id=reader.native_id,
        name=reader.text(shape.names, _LONGEST_NAME),
        created=reader.moment(shape.created),
        description=reader.text(shape.descriptions, _LONGEST_DESCRIPTION),
        context_length=reader.count(shape.context, "bad_context_length"),
        max_output_tokens=reader.count(shape.max_output, "bad_max_output"),
        input_modalities=inputs,
        output_modalities=outputs,
        tokenizer=reader.text(shape.tokenizer, _LONGEST_NAME),
        prices=prices,
        is_free=not dynamic and is_free(prices),
        has_dynamic_price=dynamic,
        supported_parameters=reader.words(shape.parameters),
        tools=flags.get("tools"),
        vision=flags.get("vision"),
        json=flags.get("json"),
        reasoning=flags.get("reasoning"),
        prompt_caching=flags.get("prompt_caching"),
        streaming=flags.get("streaming"),
    )


def _modalities(shape: Shape, reader: RowReader) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """What goes in, what comes out, and whether the list says what goes in or it was told by the kind."""
    inputs, outputs = reader.words(shape.input_modalities), reader.words(shape.output_modalities)
    arrow = reader.first(shape.modality)
    if isinstance(arrow, str) and "->" in arrow:
        before, _, after = arrow.lower().partition("->")
        inputs, outputs = inputs or _summands(before), outputs or _summands(after)
    kind = reader.first(shape.kind)
    told = KINDS.get(kind.lower(), ((), ())) if isinstance(kind, str) else ((), ())
    return inputs or told[0], outputs or told[1], bool(inputs)


def _summands(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split("+") if (word := part.strip()) and word.isalnum())


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else math.inf
