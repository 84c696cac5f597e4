"""What a provider says it offers, in one form whoever the provider is."""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct

PRICE_FIELDS = ("prompt", "completion", "input_cache_read", "input_cache_write", "image", "request")


class ListedModel(Struct, frozen=True, kw_only=True):
    """One row of a provider's model list.

    `prices` are US dollars per token (`image`, `request`: per piece); a missing field is unknown, zero is free.
    Capabilities are None where the list does not say.
    """

    native_id: str
    name: str | None = None
    created: int | None = None
    description: str | None = None
    context_length: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    tokenizer: str | None = None
    prices: Mapping[str, Decimal] = {}
    is_free: bool = False
    has_dynamic_price: bool = False
    supported_parameters: tuple[str, ...] = ()
    tools: bool | None = None
    vision: bool | None = None
    json: bool | None = None
    reasoning: bool | None = None
    prompt_caching: bool | None = None
    streaming: bool | None = None


class RefusedRow(Struct, frozen=True):
    """A row, or a part of it, that was left out, and why. `reason` is a short fixed code, `detail` names the value."""

    native_id: str
    reason: str
    detail: str = ""


def by_reason(refused: Iterable[RefusedRow]) -> dict[str, int]:
    """How many were left out by reason, the most frequent first."""
    return dict(Counter(row.reason for row in refused).most_common())


class Listing(Struct, frozen=True, kw_only=True):
    provider: str
    models: tuple[ListedModel, ...]
    refused: tuple[RefusedRow, ...] = ()
