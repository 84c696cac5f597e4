"""The catalog's values. All are frozen: one decoded copy is shared by every request of a worker."""

from decimal import Decimal

from msgspec import Struct


class Pricing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """US dollars per token (`image`, `request`: per piece). None is unknown, which is never the same as zero."""

    prompt: Decimal | None = None
    completion: Decimal | None = None
    input_cache_read: Decimal | None = None
    input_cache_write: Decimal | None = None
    image: Decimal | None = None
    request: Decimal | None = None


class Capabilities(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """None where the provider does not say."""

    tools: bool | None = None
    vision: bool | None = None
    streaming: bool | None = None
    json: bool | None = None
    reasoning: bool | None = None
    prompt_caching: bool | None = None


class Offer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model as one provider offers it.

    `id` is public and lower-case (`author/slug`); several providers may share it. `native_id` is what the provider
    wants to hear. `unique_id` names the model over all who offer it.
    """

    id: str
    provider: str
    native_id: str
    unique_id: str
    name: str
    created: int | None = None
    description: str = ""
    context_length: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    tokenizer: str | None = None
    pricing: Pricing = Pricing()
    supported_parameters: tuple[str, ...] = ()
    capabilities: Capabilities = Capabilities()
    is_free: bool = False
    is_active: bool = True


class ProviderRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider as the database knows it. `changed_at`: Unix seconds of the last list that changed anything."""

    slug: str
    name: str
    changed_at: float | None = None


class Catalog(Struct, frozen=True, kw_only=True):
    """Every offer of every provider, in the order (id, provider).

    `version` digests the content: two catalogs with one version are the same catalog.
    """

    providers: tuple[ProviderRecord, ...]
    offers: tuple[Offer, ...]
    version: str


class UniqueModel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model over all who offer it; `offers` are (provider, native id) pairs, the other way of the relation."""

    id: str
    name: str
    offers: tuple[tuple[str, str], ...]


class UniqueModels(Struct, frozen=True, kw_only=True):
    """In the order of their ids. `version` digests the content."""

    models: tuple[UniqueModel, ...]
    version: str


class ProviderCatalog(Struct, frozen=True, kw_only=True):
    provider: ProviderRecord
    offers: tuple[Offer, ...]


class CatalogStats(Struct, frozen=True, kw_only=True):
    """Counts over active offers. `priced`: those whose prompt price is known."""

    total_models: int
    total_providers: int
    total_unique_models: int
    by_modality: tuple[tuple[str, int], ...]
    priced: int
    free: int
