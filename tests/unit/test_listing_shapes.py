"""Every shape is read from a recorded list."""

from decimal import Decimal
from pathlib import Path

import pytest

from gatewayz.providers.listing import ListedModel, Listing, by_reason
from gatewayz.providers.model import ListSource, Provider
from gatewayz.providers.parse import parse_listing
from gatewayz.providers.shapes.table import SHAPES

FIXTURES = Path(__file__).parent.parent / "fixtures" / "lists"


def listing(shape: str, fixture: str | None = None) -> Listing:
    provider = Provider(
        slug="acme", name="Acme", base_url="http://acme.invalid", listing=ListSource(shape=SHAPES[shape])
    )
    return parse_listing(provider, [(FIXTURES / f"{fixture or shape}.json").read_bytes()])


def models(shape: str, fixture: str | None = None) -> dict[str, ListedModel]:
    return {model.native_id: model for model in listing(shape, fixture).models}


def dollars_per_million(model: ListedModel) -> dict[str, Decimal]:
    return {field: price * 1_000_000 for field, price in model.prices.items()}


def test_every_shape_has_a_recorded_list_that_it_reads() -> None:
    assert set(SHAPES) == {path.stem for path in FIXTURES.glob("*.json")} - {"nebius"}
    for shape in SHAPES:
        assert listing(shape).models, shape


def test_the_original_openai_list_tells_ids_and_dates_only() -> None:
    model = models("openai")["gpt-4o"]
    assert model == ListedModel(native_id="gpt-4o", created=1715367049)


def test_an_openai_compatible_list_may_be_called_models_or_stand_at_the_top() -> None:
    provider = Provider(slug="a", name="A", base_url="http://a.invalid", listing=ListSource(shape=SHAPES["openai"]))
    for page in (b'{"data": [{"id": "m"}]}', b'{"models": [{"id": "m"}]}', b'[{"id": "m"}]'):
        assert [model.native_id for model in parse_listing(provider, [page]).models] == ["m"]


def test_openrouter_prices_are_dollars_per_token() -> None:
    model = models("openrouter")["anthropic/claude-opus-4.5"]
    assert model.prices == {
        "prompt": Decimal("0.000005"),
        "completion": Decimal("0.000025"),
        "input_cache_read": Decimal("0.0000005"),
        "input_cache_write": Decimal("0.00000625"),
        "image": Decimal(0),
        "request": Decimal(0),
    }
    assert (model.context_length, model.max_output_tokens, model.tokenizer) == (200000, 64000, "Claude")
    assert (model.tools, model.json, model.reasoning, model.vision, model.prompt_caching) == (True,) * 5
    assert model.input_modalities == ("file", "image", "text")


def test_openrouters_dynamic_price_is_unknown_and_marked() -> None:
    model = models("openrouter")["openrouter/auto"]
    assert (model.prices, model.has_dynamic_price, model.is_free) == ({}, True, False)


def test_openrouters_free_variant_is_free() -> None:
    model = models("openrouter")["amazon/nova-2-lite-v1:free"]
    assert model.is_free
    assert not model.has_dynamic_price


def test_together_prices_are_dollars_per_million() -> None:
    model = models("together")["meta-llama/Llama-3.3-70B-Instruct-Turbo"]
    assert dollars_per_million(model) == {"prompt": Decimal("0.88"), "completion": Decimal("0.88")}


def test_together_may_wrap_its_list() -> None:
    provider = Provider(slug="t", name="T", base_url="http://t.invalid", listing=ListSource(shape=SHAPES["together"]))
    wrapped = b'{"data": ' + (FIXTURES / "together.json").read_bytes() + b"}"
    assert parse_listing(provider, [wrapped]).models == listing("together").models


def test_an_image_model_that_costs_no_tokens_is_not_free() -> None:
    model = models("together")["black-forest-labs/FLUX.1-schnell"]
    assert (model.prices, model.is_free, model.output_modalities) == ({}, False, ("image",))


def test_deepinfra_prices_are_cents_per_token_and_cached_tokens_a_share_of_them() -> None:
    model = models("deepinfra")["Qwen/Qwen3-32B"]
    assert dollars_per_million(model) == {
        "prompt": Decimal("0.08"),
        "completion": Decimal("0.28"),
        "input_cache_read": Decimal("0.04"),
    }
    assert (model.tools, model.reasoning, model.json) == (True, True, False)


def test_deepinfra_prices_by_image_are_per_piece_and_by_time_unknown() -> None:
    found = models("deepinfra")
    assert found["black-forest-labs/FLUX-1-schnell"].prices == {"image": Decimal("0.0005")}
    assert found["openai/whisper-large-v3"].prices == {}
    assert found["microsoft/Phi-3"].prices == {}
    assert found["openai/whisper-large-v3"].input_modalities == ("audio",)


def test_fireworks_tells_capabilities_and_no_price() -> None:
    model = models("fireworks")["accounts/fireworks/models/qwen3-235b-a22b"]
    assert (model.tools, model.vision, model.prices, model.context_length) == (True, False, {}, 131072)


def test_groqs_inactive_models_are_left_out_and_named() -> None:
    found = listing("groq")
    assert [model.native_id for model in found.models] == ["llama-3.3-70b-versatile"]
    assert [(row.native_id, row.reason) for row in found.refused] == [("gemma-7b-it", "inactive")]
    assert (found.models[0].context_length, found.models[0].max_output_tokens) == (131072, 32768)


def test_novita_prices_are_ten_thousandths_of_a_dollar_per_million() -> None:
    model = models("novita")["deepseek/deepseek-v3.2"]
    assert dollars_per_million(model) == {"prompt": Decimal("0.269"), "completion": Decimal("0.4")}
    assert (model.tools, model.json, model.reasoning) == (True, True, True)


def test_anthropic_dates_are_iso() -> None:
    model = models("anthropic")["claude-opus-4-5-20251101"]
    assert (model.name, model.created) == ("Claude Opus 4.5", 1763942400)


def test_gemini_ids_lose_their_prefix() -> None:
    model = models("gemini")["gemini-2.5-flash"]
    assert (model.context_length, model.max_output_tokens) == (1048576, 65536)
    assert (model.reasoning, model.prompt_caching) == (True, True)


def test_vertex_ids_lose_their_prefix() -> None:
    assert list(models("vertex")) == ["gemini-2.5-pro"]


def test_vercel_tells_prices_limits_and_tags() -> None:
    found = models("vercel")
    sonnet = found["anthropic/claude-sonnet-4.5"]
    assert dollars_per_million(sonnet) == {
        "prompt": 3,
        "completion": 15,
        "input_cache_read": Decimal("0.3"),
        "input_cache_write": Decimal("3.75"),
    }
    assert (sonnet.tools, sonnet.vision, sonnet.reasoning, sonnet.prompt_caching) == (True,) * 4
    assert sonnet.input_modalities == ("text", "image")
    assert found["openai/text-embedding-3-large"].output_modalities == ("embeddings",)


def test_coheres_deprecated_models_are_left_out() -> None:
    found = listing("cohere")
    assert [model.native_id for model in found.models] == ["command-a-03-2025"]
    assert by_reason(found.refused) == {"deprecated": 1}


def test_a_router_over_hosts_costs_what_the_dearest_live_one_costs() -> None:
    model = models("huggingface")["openai/gpt-oss-120b"]
    assert dollars_per_million(model) == {"prompt": Decimal("0.15"), "completion": Decimal("0.8")}
    assert (model.context_length, model.tools) == (65536, True)


def test_a_router_with_a_host_that_tells_no_price_has_none() -> None:
    assert models("huggingface")["acme/silent"].prices == {}


def test_nebius_modalities_are_read_from_the_arrow() -> None:
    model = models("openrouter", "nebius")["meta-llama/Llama-3.3-70B-Instruct"]
    assert (model.input_modalities, model.output_modalities, model.vision) == (("text",), ("text",), False)
    assert model.prices["prompt"] == Decimal("0.00000013")


def test_mistral_tells_capabilities() -> None:
    model = models("mistral")["mistral-large-2411"]
    assert (model.tools, model.vision, model.context_length) == (True, False, 131072)


def test_xai_prices_are_cents_per_hundred_million() -> None:
    model = models("xai")["grok-4-0709"]
    assert dollars_per_million(model) == {
        "prompt": 3,
        "completion": 15,
        "input_cache_read": Decimal("0.75"),
    }


def test_chutes_prices_are_dollars_per_million() -> None:
    model = models("chutes")["deepseek-ai/DeepSeek-V3.1"]
    assert dollars_per_million(model) == {"prompt": Decimal("0.2"), "completion": Decimal("0.8")}


def test_aihubmix_prices_are_dollars_per_thousand() -> None:
    model = models("aihubmix")["gpt-4o-mini"]
    assert dollars_per_million(model) == {
        "prompt": Decimal("0.15"),
        "completion": Decimal("0.6"),
        "input_cache_read": Decimal("0.075"),
    }


def test_cloudflare_properties_are_read() -> None:
    model = models("cloudflare")["@cf/meta/llama-3.3-70b-instruct-fp8-fast"]
    assert dollars_per_million(model) == {"prompt": Decimal("0.293"), "completion": Decimal("2.253")}
    assert (model.context_length, model.tools, model.output_modalities) == (24000, True, ("text",))
    assert model.created == 1733504958


def test_a_price_map_is_keyed_by_id_and_prefixed_by_its_provider() -> None:
    found = listing("price_map")
    assert [model.native_id for model in found.models] == [
        "gpt-4o",
        "llama-3.3-70b-versatile",
        "text-embedding-3-small",
        "imagen-4.0-generate-001",
        "rerank-v3.5",
    ]
    assert by_reason(found.refused) == {"not_a_model": 1, "bad_max_output": 1}


@pytest.mark.parametrize(
    ("native_id", "outputs", "free"),
    [
        ("gpt-4o", ("text",), False),
        ("text-embedding-3-small", ("embeddings",), False),
        ("imagen-4.0-generate-001", ("image",), False),
        ("rerank-v3.5", ("rerank",), False),
    ],
)
def test_a_price_map_tells_the_kind_of_model(native_id: str, outputs: tuple[str, ...], free: bool) -> None:  # noqa: FBT001
    model = models("price_map")[native_id]
    assert (model.output_modalities, model.is_free) == (outputs, free)
