"""The form in which a model list's shape is written down. A shape is data; one parser reads them all.

A path is keys joined by dots: `top_provider.max_completion_tokens`. Where several are given, the first that
holds a value counts.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from gatewayz.providers.prices import Unit

Row = Mapping[str, object]


class PriceAt(Struct, frozen=True):
    """Where a price stands and what its number means; with `share_of`, it is a share of that other price."""

    path: str
    unit: Unit = Unit.USD
    share_of: str | None = None


class Flag(Struct, frozen=True):
    """Where a capability is told: a boolean, or (with `words`) a list which has one of these words."""

    path: str
    words: frozenset[str] = frozenset()


class Skip(Struct, frozen=True):
    """Rows with one of these values at the path are left out, for the reason named."""

    path: str
    values: tuple[object, ...]
    reason: str


class Shape(Struct, frozen=True, kw_only=True):
    """Where things stand in a model list.

    `rows`: where the rows may stand; "" is the document itself. `keyed`: they are a map from id to row.
    `id_prefixes` are cut off an id; so is the value at `id_prefix_path` with a slash, as in `groq/llama`.
    `modality` is text such as `text+image->text`; `kind` a word of KINDS, read where no modalities are given.
    `unpriced_kinds`: kinds whose token price of zero only says that they are not sold by the token.
    `flatten` turns a row of a really different build into a plain one.
    """

    rows: tuple[str, ...] = ("data",)
    keyed: bool = False
    ids: tuple[str, ...] = ("id",)
    id_prefixes: tuple[str, ...] = ()
    id_prefix_path: str | None = None
    excluded_ids: frozenset[str] = frozenset()
    skips: tuple[Skip, ...] = ()
    names: tuple[str, ...] = ()
    created: tuple[str, ...] = ("created",)
    descriptions: tuple[str, ...] = ("description",)
    context: tuple[str, ...] = ()
    max_output: tuple[str, ...] = ()
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    unpriced_kinds: frozenset[str] = frozenset()
    tokenizer: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    prices: Mapping[str, tuple[PriceAt, ...]] = {}
    flags: Mapping[str, tuple[Flag, ...]] = {}
    flatten: Callable[[Row], Row] | None = None
