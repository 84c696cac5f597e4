import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from genai_prices import data
from tests.support.identity_checks import bare, disagreements

from gatewayz.catalog.identity import identify, public_id

NAMES = json.loads((Path(__file__).parents[1] / "fixtures" / "identity_names.json").read_text("utf-8"))

# The only names in the offline catalog that differ in nothing but spelling and author, and are two models.
KNOWN_TWINS = {
    "wizardlm28x22b",  # alpindale's is a re-upload
}


class Listed(NamedTuple):
    provider: str
    native_id: str
    unique_id: str


def offline_catalog() -> list[Listed]:
    slugs = {"x-ai": "xai", "moonshotai": "moonshot"}
    return [
        Listed(provider.id, model.id, identify(model.id, provider=slug).id)
        for provider in data.providers
        for slug in [slugs.get(provider.id, provider.id.replace("_", "-"))]
        for model in provider.models
    ]


@pytest.mark.parametrize("group", NAMES["one"], ids=lambda group: group["id"])
def test_spellings_of_one_model_have_one_identity(group: dict[str, Any]) -> None:
    assert {identify(native_id, provider=provider).id for provider, native_id in group["names"]} == {group["id"]}


@pytest.mark.parametrize("pair", NAMES["apart"], ids=lambda pair: " | ".join(name for _, name in pair["names"]))
def test_different_models_stay_apart(pair: dict[str, Any]) -> None:
    left, right = (identify(native_id, provider=provider).id for provider, native_id in pair["names"])
    assert left != right, pair["why"]


def test_an_identity_names_itself() -> None:
    for group in NAMES["one"]:
        assert identify(group["id"], provider="anyone").id == group["id"]


def test_no_group_of_the_offline_catalog_disagrees_in_size_date_quantization_variant_or_form() -> None:
    groups: dict[str, set[str]] = defaultdict(set)
    for listed in offline_catalog():
        groups[listed.unique_id].add(listed.native_id)
    found = {group: list(disagreements(names)) for group, names in groups.items()}
    assert {group: sentences for group, sentences in found.items() if sentences} == {}


def test_names_of_the_offline_catalog_that_differ_only_in_punctuation_are_one() -> None:
    identities: dict[str, set[str]] = defaultdict(set)
    for listed in offline_catalog():
        identities[bare(listed.native_id)].add(listed.unique_id)
    assert {name for name, ids in identities.items() if len(ids) > 1} == KNOWN_TWINS


def test_every_identity_of_the_offline_catalog_names_itself() -> None:
    for listed in offline_catalog():
        assert identify(listed.unique_id, provider="anyone").id == listed.unique_id


def test_llama_3_3_70b_is_one_model_over_all_providers_of_the_offline_catalog() -> None:
    found = {
        listed.unique_id
        for listed in offline_catalog()
        if bare(listed.native_id).removeprefix("meta") in {"llama3370binstruct", "llama3370b"}
    }
    assert found == {"meta-llama/llama-3.3-70b-instruct"}


def test_the_checker_sees_what_it_is_there_for() -> None:
    assert list(disagreements(["a-7b", "a-22b"]))
    assert list(disagreements(["a-1.5b", "a-15b"]))
    assert list(disagreements(["a-fp8", "a-int4"]))
    assert list(disagreements(["a-20240620", "a-20241022"]))
    assert list(disagreements(["a-2024-08-06", "a"]))
    assert list(disagreements(["a-0528", "a"]))
    assert list(disagreements(["a:free", "a"]))
    assert list(disagreements(["a-turbo", "a"]))
    assert not list(disagreements(["A_3p3-70B", "x/a-3.3-70b", "a-3-3-70b"]))


@pytest.mark.parametrize(
    ("provider", "native_id", "expected"),
    [
        (
            "fireworks",
            "accounts/fireworks/models/llama-v3p3-70b-instruct",
            "meta-llama/llama-v3p3-70b-instruct",
        ),
        ("cloudflare", "@cf/meta/llama-3.3-70b-instruct-fp8-fast", "meta/llama-3.3-70b-instruct-fp8-fast"),
        ("aws", "us.anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic/claude-3-5-sonnet-20240620"),
        ("bedrock", "bedrock/us-east-1/mistral.mistral-7b-instruct-v0:2", "mistral/mistral-7b-instruct-v0.2"),
        ("near", "near/deepseek-ai/DeepSeek-V3.1", "deepseek-ai/deepseek-v3.1"),
        ("near", "near/DeepSeek-V3.1", "deepseek/deepseek-v3.1"),
        ("groq", "llama-3.3-70b-versatile", "meta-llama/llama-3.3-70b-versatile"),
        ("openrouter", "openai/gpt-4o:extended", "openai/gpt-4o:extended"),
        ("openrouter", "openrouter/auto", "openrouter/auto"),
        ("ovhcloud", "Meta-Llama-3_3-70B-Instruct", "meta-llama/meta-llama-3_3-70b-instruct"),
        ("demo", "demo/echo", "demo/echo"),
    ],
)
def test_a_public_id_keeps_the_providers_spelling_without_the_route(
    provider: str, native_id: str, expected: str
) -> None:
    assert public_id(native_id, provider=provider) == expected


@pytest.mark.parametrize(
    ("native_id", "listed", "expected"),
    [
        ("llama-3.3-70b-versatile", None, "Llama 3.3 70B Instruct"),
        ("openai/gpt-4o-2024-08-06", None, "GPT-4o 2024-08-06"),
        ("Mixtral-8x7B-Instruct-v0.1", None, "Mixtral 8x7B Instruct"),
        ("deepseek-ai/DeepSeek-R1-0528", None, "DeepSeek R1 0528"),
        ("qwen/qwen3-235b-a22b:free", None, "Qwen3 235B A22B (free)"),
        ("z-ai/glm-4.5-air", "Z.AI: GLM 4.5 Air", "GLM 4.5 Air"),
        ("z-ai/glm-4.5-air:free", "Z.AI: GLM 4.5 Air (free)", "GLM 4.5 Air (free)"),
        ("z-ai/glm-4.5-air", "our fastest model", "GLM 4.5 Air"),
    ],
)
def test_the_display_name_is_the_listed_one_only_where_it_says_the_same(
    native_id: str, listed: str | None, expected: str
) -> None:
    assert identify(native_id, provider="openrouter", name=listed).name == expected


@pytest.mark.parametrize("native_id", ["", " ", "/", ":", "-", "a/", "/a", "@cf/", "a//b", "models/", ":free", "…"])
def test_no_name_is_too_odd_to_have_an_identity(native_id: str) -> None:
    identity = identify(native_id, provider="acme")
    assert identity.author
    assert identity.slug
    assert identify(identity.id, provider="acme").id == identity.id
