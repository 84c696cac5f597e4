"""From what a provider lists to what the catalog keeps."""

from collections.abc import Iterable, Mapping

from msgspec.structs import asdict, replace

from gatewayz.catalog.identity import Identity, identify, public_id
from gatewayz.catalog.model import Capabilities, Offer, Pricing
from gatewayz.providers.listing import ListedModel, Listing

# A supported parameter that proves a capability.
_PROOF = {
    "tools": ("tools", "tool_choice"),
    "json": ("response_format", "structured_outputs"),
    "reasoning": ("reasoning", "include_reasoning", "reasoning_effort"),
}

# What a live list often leaves out and the offline catalog knows of the same offer.
_GAPS = ("name", "description", "context_length", "max_output_tokens", "input_modalities", "output_modalities")


def offers_from(listing: Listing, offline: Mapping[str, ListedModel]) -> dict[str, tuple[Offer, Identity]]:
    """The listed models as offers with their identities, by native id.

    `offline` holds the offline catalog's rows of the same provider by lower-case native id: they fill what
    the live list does not say. A list without prices keeps the offline ones.
    """
    return {
        listed.native_id: _offer(listing.provider, fill_gaps(listed, offline.get(listed.native_id.lower())))
        for listed in listing.models
    }


def fill_gaps(listed: ListedModel, offline: ListedModel | None) -> ListedModel:
    """The live row, with the offline row's word on whatever the live one leaves open."""
    if offline is None:
        return listed
    known = asdict(offline)
    gaps = {field: known[field] for field in _GAPS if not getattr(listed, field) and known[field]}
    if not listed.prices and not listed.has_dynamic_price:
        gaps["prices"] = offline.prices
        gaps["is_free"] = offline.is_free
    return replace(listed, **gaps)


def index_by_native_id(models: Iterable[ListedModel]) -> dict[str, ListedModel]:
    return {model.native_id.lower(): model for model in models}


def _offer(provider: str, listed: ListedModel) -> tuple[Offer, Identity]:
    identity = identify(listed.native_id, provider=provider, name=listed.name)
    offer = Offer(
        id=public_id(listed.native_id, provider=provider),
        provider=provider,
        native_id=listed.native_id,
        unique_id=identity.id,
        name=listed.name or identity.name,
        created=listed.created,
        description=listed.description or "",
        context_length=listed.context_length,
        max_output_tokens=listed.max_output_tokens,
        input_modalities=listed.input_modalities,
        output_modalities=listed.output_modalities,
        tokenizer=listed.tokenizer,
        pricing=Pricing(**listed.prices),
        supported_parameters=listed.supported_parameters,
        capabilities=_capabilities(listed),
        is_free=listed.is_free,
    )
    return offer, identity


def _capabilities(listed: ListedModel) -> Capabilities:
    def said(capability: str) -> bool | None:
        stated: bool | None = getattr(listed, capability)
        if stated is not None or not listed.supported_parameters:
            return stated
        return any(name in listed.supported_parameters for name in _PROOF[capability])

    vision = listed.vision
    if vision is None and listed.input_modalities:
        vision = "image" in listed.input_modalities
    return Capabilities(
        tools=said("tools"),
        json=said("json"),
        reasoning=said("reasoning"),
        vision=vision,
        streaming=listed.streaming,
        prompt_caching=listed.prompt_caching,
    )
