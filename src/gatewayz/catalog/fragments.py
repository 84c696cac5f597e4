"""How the catalog's values look to clients: one piece of JSON per model, encoded once per catalog version."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gatewayz.catalog.model import Offer, Pricing
from gatewayz.core.money import plain

# A version of the catalog outlives a provider's health by far: its fragments do not tell it.
UNKNOWN_HEALTH = {"status": "unknown"}

_encoder = msgspec.json.Encoder()

encode = _encoder.encode


def pricing_form(pricing: Pricing) -> dict[str, str]:
    """US dollars per token as plain decimal strings; what is unknown is absent."""
    return {name: plain(value) for name in pricing.__struct_fields__ if (value := getattr(pricing, name)) is not None}


def architecture_form(offer: Offer) -> dict[str, Any]:
    ways = [offer.input_modalities, offer.output_modalities]
    return {
        "modality": "->".join("+".join(way) for way in ways) if all(ways) else None,
        "input_modalities": offer.input_modalities,
        "output_modalities": offer.output_modalities,
        "tokenizer": offer.tokenizer,
    }


def capabilities_form(offer: Offer) -> dict[str, bool | None]:
    return {name: getattr(offer.capabilities, name) for name in offer.capabilities.__struct_fields__}


def model_form(offer: Offer) -> dict[str, Any]:
    """One offer in the form of GET /v1/models. `created` is 0 where unknown, for SDKs that demand an integer."""
    return {
        "id": offer.id,
        "object": "model",
        "created": offer.created or 0,
        "owned_by": offer.id.partition("/")[0],
        "name": offer.name,
        "provider": offer.provider,
        "provider_model_id": offer.native_id,
        "unique_id": offer.unique_id,
        "description": offer.description,
        "context_length": offer.context_length,
        "max_output_tokens": offer.max_output_tokens,
        "architecture": architecture_form(offer),
        "pricing": pricing_form(offer.pricing),
        "supported_parameters": offer.supported_parameters,
        "capabilities": capabilities_form(offer),
        "health": UNKNOWN_HEALTH,
        "is_free": offer.is_free,
        "is_active": offer.is_active,
    }


def endpoint_form(
    offer: Offer, provider_name: str, status: str, latency: Mapping[str, float] | None, uptime: float | None
) -> dict[str, Any]:
    """One offer in the form of OpenRouter's endpoints list. `latency`: seconds by percentile; `uptime`: percent. Both
    are null until there is traffic.
    """
    return {
        "name": f"{provider_name} | {offer.native_id}",
        "model_name": offer.name,
        "provider_name": provider_name,
        "tag": offer.provider,
        "context_length": offer.context_length,
        "max_completion_tokens": offer.max_output_tokens,
        "pricing": pricing_form(offer.pricing),
        "supported_parameters": offer.supported_parameters,
        "health": {"status": status},
        "latency_last_30m": latency,
        "uptime_last_30m": uptime,
    }


def unique_form(
    unique_id: str, name: str, offers: Sequence[Offer], provider_names: Mapping[str, str], cheapest: Offer | None
) -> dict[str, Any]:
    """A model over all who offer it. The cheapest is chosen among known prices only."""
    return {
        "id": unique_id,
        "object": "model",
        "created": min((offer.created for offer in offers if offer.created), default=0),
        "owned_by": unique_id.partition("/")[0],
        "name": name,
        "providers": [
            {
                "slug": offer.provider,
                "name": provider_names.get(offer.provider, offer.provider),
                "model_id": offer.id,
                "provider_model_id": offer.native_id,
                "pricing": pricing_form(offer.pricing),
                "context_length": offer.context_length,
                "max_output_tokens": offer.max_output_tokens,
                "is_free": offer.is_free,
                "health": UNKNOWN_HEALTH,
            }
            for offer in offers
        ],
        "provider_count": len({offer.provider for offer in offers}),
        "cheapest_provider": cheapest.provider if cheapest else None,
        "cheapest_prompt_price": plain(_prompt(cheapest)) if cheapest else None,
        "fastest_provider": None,
        "is_active": bool(offers),
    }


def cheapest_of(offers: Sequence[Offer]) -> Offer | None:
    """The lowest known prompt price, then completion price, then provider. None where every price is unknown."""
    priced = [offer for offer in offers if offer.pricing.prompt is not None]
    return min(
        priced,
        key=lambda offer: (
            _prompt(offer),
            offer.pricing.completion is None,
            offer.pricing.completion or Decimal(0),
            offer.provider,
        ),
        default=None,
    )


def _prompt(offer: Offer) -> Decimal:
    price = offer.pricing.prompt
    if price is None:
        raise ValueError(f"{offer.native_id!r} of {offer.provider!r} has no known prompt price")
    return price
