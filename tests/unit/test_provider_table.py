"""The table is data, so it can be checked as a whole."""

from collections import Counter
from urllib.parse import urlsplit

import pytest

from gatewayz.providers.model import Provider
from gatewayz.providers.table import PROVIDERS

every_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.slug)


def test_no_name_means_two_providers() -> None:
    names = Counter(name for provider in PROVIDERS for name in {provider.slug, *provider.aliases})
    assert [name for name, times in names.items() if times > 1] == []


def test_the_table_knows_the_providers_it_promises() -> None:
    promised = """openai anthropic google google-vertex openrouter deepinfra together fireworks groq cerebras
    featherless xai novita mistral deepseek moonshot minimax zai alibaba perplexity cohere huggingface nebius
    chutes hyperbolic sambanova vercel-ai-gateway near aihubmix onerouter aimo clarifai cloudflare-workers-ai
    meta xiaomi akash azure-openai ollama vllm llama-cpp demo"""
    assert {provider.slug for provider in PROVIDERS} >= set(promised.split())


@every_provider
def test_an_address_is_https_or_on_this_machine(provider: Provider) -> None:
    if provider.base_url is None:
        assert provider.listing is None
        return
    parts = urlsplit(provider.base_url)
    assert parts.scheme == "https" or parts.hostname == "127.0.0.1"
    assert not provider.base_url.endswith("/")


@every_provider
def test_every_placeholder_of_an_address_has_a_variable(provider: Provider) -> None:
    addresses = (provider.base_url or "") + (provider.listing.path if provider.listing else "")
    for placeholder in provider.url_variables:
        assert f"{{{placeholder}}}" in addresses
        addresses = addresses.replace(f"{{{placeholder}}}", "")
    assert "{" not in addresses


@every_provider
def test_a_provider_that_needs_a_key_says_where_it_comes_from(provider: Provider) -> None:
    assert provider.key_variables or not provider.needs_key or not provider.on_by_default
