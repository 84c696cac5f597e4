"""Which providers are on, where, and with which key."""

import pytest
from pydantic import SecretStr, ValidationError

from gatewayz.providers.auth import X_API_KEY
from gatewayz.providers.config import (
    ConfiguredProvider,
    ProviderSettings,
    configured_providers,
    setting_name,
)
from gatewayz.providers.errors import ProviderMisconfigured
from gatewayz.providers.fetch import list_url
from gatewayz.providers.shapes.table import OPENAI, TOGETHER
from gatewayz.providers.table import PROVIDERS


def configured(
    overrides: dict[str, ProviderSettings] | None = None,
    environ: dict[str, str] | None = None,
    *,
    demo: bool = False,
) -> dict[str, ConfiguredProvider]:
    found = configured_providers(PROVIDERS, overrides or {}, environ or {}, demo=demo)
    return {entry.provider.slug: entry for entry in found}


def enabled(
    overrides: dict[str, ProviderSettings] | None = None,
    environ: dict[str, str] | None = None,
    *,
    demo: bool = False,
) -> set[str]:
    return {slug for slug, entry in configured(overrides, environ, demo=demo).items() if entry.enabled}


def key_of(entry: ConfiguredProvider) -> str | None:
    return entry.api_key.get_secret_value() if entry.api_key else None


def test_with_nothing_configured_nothing_is_on_and_each_says_why() -> None:
    found = configured()
    assert [slug for slug, entry in found.items() if entry.enabled] == []
    assert all(entry.reason for entry in found.values())
    assert "GROQ_API_KEY" in found["groq"].reason
    assert "GATEWAYZ_PROVIDERS__GROQ__API_KEY" in found["groq"].reason


def test_a_providers_own_variable_turns_it_on() -> None:
    found = configured(environ={"GROQ_API_KEY": " sk-1 \n", "OPENAI_API_KEY": ""})
    assert found["groq"].enabled
    assert key_of(found["groq"]) == "sk-1"
    assert not found["openai"].enabled


def test_the_first_variable_that_is_set_counts() -> None:
    environ = {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "second"}
    assert key_of(configured(environ=environ)["google"]) == "second"


def test_a_key_by_settings_goes_before_the_environment() -> None:
    found = configured({"groq": ProviderSettings(api_key=SecretStr("mine"))}, {"GROQ_API_KEY": "theirs"})
    assert key_of(found["groq"]) == "mine"


def test_a_key_is_never_printed() -> None:
    found = configured({"groq": ProviderSettings(api_key=SecretStr("sk-hidden"))}, {"XAI_API_KEY": "sk-hidden"})
    assert "sk-hidden" not in repr(found)


def test_a_base_url_of_the_table_can_be_overridden() -> None:
    found = configured({"openai": ProviderSettings(base_url="http://127.0.0.1:9/v1/")}, {"OPENAI_API_KEY": "k"})
    provider = found["openai"].provider
    assert provider.base_url == "http://127.0.0.1:9/v1"
    assert provider.name == "OpenAI"
    assert provider.listing is not None
    assert str(list_url(provider, provider.listing)) == "http://127.0.0.1:9/v1/models"


def test_a_list_with_its_own_address_moves_with_the_base_url() -> None:
    found = configured({"deepinfra": ProviderSettings(base_url="http://127.0.0.1:9/v1/openai")})
    provider = found["deepinfra"].provider
    assert provider.listing is not None
    assert str(list_url(provider, provider.listing)) == "http://127.0.0.1:9/models/list"


def test_whoever_gives_an_address_has_configured_the_provider_even_without_a_key() -> None:
    assert enabled({"openai": ProviderSettings(base_url="http://127.0.0.1:9/v1")}) == {"openai"}


@pytest.mark.parametrize("name", ["google_vertex", "GOOGLE_VERTEX", "google-vertex", "vertex_ai"])
def test_a_provider_is_found_by_any_spelling_of_its_name(name: str) -> None:
    settings = ProviderSettings(base_url="http://127.0.0.1:9")
    assert enabled({name: settings}) == {"google-vertex"}


def test_two_names_for_one_provider_are_an_error() -> None:
    with pytest.raises(ProviderMisconfigured, match="a second time"):
        configured({"xai": ProviderSettings(), "x_ai": ProviderSettings()})


def test_a_provider_outside_the_table_is_added_by_settings_alone() -> None:
    found = configured({"acme_labs": ProviderSettings(base_url="http://127.0.0.1:9/v1", api_key=SecretStr("k"))})
    acme = found["acme-labs"]
    assert acme.enabled
    assert key_of(acme) == "k"
    assert acme.provider.dialect == "openai"
    assert acme.provider.listing is not None
    assert acme.provider.listing.shape == OPENAI


def test_a_dialect_brings_its_habits() -> None:
    settings = ProviderSettings(base_url="http://127.0.0.1:9", dialect="anthropic")
    provider = configured({"acme": settings})["acme"].provider
    assert provider.auth == X_API_KEY
    assert provider.headers == {"anthropic-version": "2023-06-01"}


def test_models_by_settings_replace_the_list() -> None:
    settings = ProviderSettings(base_url="http://127.0.0.1:9", models=["a/b", "a/c:free"])
    provider = configured({"acme": settings})["acme"].provider
    assert provider.listing is None
    assert [(model.native_id, model.is_free) for model in provider.models] == [
        ("a/b", False),
        ("a/c:free", True),
    ]


@pytest.mark.parametrize("text", ["a/b,a/c", "a/b, a/c,", '["a/b", "a/c"]'])
def test_models_may_be_text_as_in_an_environment_variable(text: str) -> None:
    assert ProviderSettings.model_validate({"models": text}).models == ["a/b", "a/c"]


def test_a_list_url_and_its_shape_can_be_set() -> None:
    settings = ProviderSettings(
        base_url="http://127.0.0.1:9", list_url="http://127.0.0.1:8/l?x=1", list_shape="together"
    )
    provider = configured({"acme": settings})["acme"].provider
    assert provider.listing is not None
    assert provider.listing.shape == TOGETHER
    assert str(list_url(provider, provider.listing)) == "http://127.0.0.1:8/l?x=1"


def test_headers_by_settings_are_added_to_those_of_the_table() -> None:
    settings = ProviderSettings(headers={"HTTP-Referer": "https://example.com"})
    headers = configured({"openrouter": settings})["openrouter"].provider.headers
    assert headers == {"X-Title": "gatewayz", "HTTP-Referer": "https://example.com"}


def test_local_providers_are_off_until_settings_name_them() -> None:
    assert enabled() == set()
    assert enabled({"ollama": ProviderSettings(enabled=True)}) == {"ollama"}
    assert enabled({"vllm": ProviderSettings(base_url="http://127.0.0.1:8001/v1")}) == {"vllm"}


def test_the_demo_is_on_where_it_is_asked_for_and_can_be_turned_off() -> None:
    assert enabled(demo=True) == {"demo"}
    assert enabled({"demo": ProviderSettings(enabled=False)}, demo=True) == set()
    assert enabled({"demo": ProviderSettings(enabled=True)}) == {"demo"}


def test_a_provider_can_be_turned_off_despite_its_key() -> None:
    assert enabled({"groq": ProviderSettings(enabled=False)}, {"GROQ_API_KEY": "k"}) == set()


def test_an_address_is_filled_from_the_environment() -> None:
    environ = {"CLOUDFLARE_API_TOKEN": "k", "CLOUDFLARE_ACCOUNT_ID": "abc123"}
    entry = configured(environ=environ)["cloudflare-workers-ai"]
    assert entry.enabled
    assert entry.provider.base_url == "https://api.cloudflare.com/client/v4/accounts/abc123/ai/v1"
    assert entry.provider.listing is not None
    assert "/accounts/abc123/ai/models/search" in entry.provider.listing.path


def test_an_address_that_cannot_be_filled_turns_the_provider_off() -> None:
    entry = configured(environ={"CLOUDFLARE_API_TOKEN": "k"})["cloudflare-workers-ai"]
    assert not entry.enabled
    assert "CLOUDFLARE_ACCOUNT_ID" in entry.reason


def test_an_address_cannot_be_smuggled_into_another() -> None:
    environ = {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_RESOURCE": "evil.example/#"}
    with pytest.raises(ProviderMisconfigured, match="AZURE_OPENAI_RESOURCE"):
        configured(environ=environ)


def test_a_vertex_credentials_file_is_never_taken_for_a_key() -> None:
    environ = {
        "GOOGLE_APPLICATION_CREDENTIALS": "/secret/file.json",
        "GOOGLE_PROJECT_ID": "p",
        "GOOGLE_CLOUD_LOCATION": "us-central1",
    }
    entry = configured(environ=environ)["google-vertex"]
    assert (entry.enabled, entry.api_key) == (False, None)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        (ProviderSettings(), "GATEWAYZ_PROVIDERS__ACME__BASE_URL"),
        (ProviderSettings(base_url="ftp://a"), "GATEWAYZ_PROVIDERS__ACME__BASE_URL"),
        (ProviderSettings(base_url="acme.example/v1"), "GATEWAYZ_PROVIDERS__ACME__BASE_URL"),
        (ProviderSettings(base_url="http://"), "GATEWAYZ_PROVIDERS__ACME__BASE_URL"),
        (ProviderSettings(base_url="http://a:port"), "GATEWAYZ_PROVIDERS__ACME__BASE_URL"),
        (ProviderSettings(base_url="https://u:sk-hidden@a"), "GATEWAYZ_PROVIDERS__ACME__BASE_URL"),
        (ProviderSettings(base_url="https://a?key=sk-hidden"), "GATEWAYZ_PROVIDERS__ACME__BASE_URL"),
        (ProviderSettings(base_url="https://a", list_url="a"), "GATEWAYZ_PROVIDERS__ACME__LIST_URL"),
        (ProviderSettings(base_url="https://a", list_shape="round"), "GATEWAYZ_PROVIDERS__ACME__LIST_SHAPE"),
        (ProviderSettings(base_url="https://a", models=["a", "a"]), "GATEWAYZ_PROVIDERS__ACME__MODELS"),
        (ProviderSettings(base_url="https://a", headers={"x": "a\nb"}), "GATEWAYZ_PROVIDERS__ACME__HEADERS"),
        (
            ProviderSettings(base_url="https://a", api_key=SecretStr("sk-hidden\n2")),
            "GATEWAYZ_PROVIDERS__ACME__API_KEY",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(settings: ProviderSettings, setting: str) -> None:
    with pytest.raises(ProviderMisconfigured, match=setting) as caught:
        configured({"acme": settings})
    assert "sk-hidden" not in str(caught.value)


def test_a_provider_turned_on_without_its_key_is_an_error() -> None:
    with pytest.raises(ProviderMisconfigured, match="GROQ_API_KEY"):
        configured({"groq": ProviderSettings(enabled=True)})


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "-"])
def test_a_name_that_is_none_is_an_error(name: str) -> None:
    with pytest.raises(ProviderMisconfigured):
        configured({name: ProviderSettings(base_url="https://a")})


def test_a_misspelt_field_is_an_error() -> None:
    with pytest.raises(ValidationError, match="base_ulr"):
        ProviderSettings.model_validate({"base_ulr": "https://a"})


def test_a_setting_is_spelt_as_the_environment_spells_it() -> None:
    assert setting_name("google-vertex", "base_url") == "GATEWAYZ_PROVIDERS__GOOGLE_VERTEX__BASE_URL"


def test_a_provider_takes_accounts_own_keys_unless_something_else_than_ours_is_missing() -> None:
    without = configured()
    assert not without["openai"].enabled
    assert without["openai"].takes_own_keys
    assert not configured({"openai": ProviderSettings(enabled=False)})["openai"].takes_own_keys
    assert not without["ollama"].takes_own_keys, "off until settings name it"


def test_a_provider_for_own_keys_only_is_listed_and_never_asked_with_ours() -> None:
    settings = ProviderSettings(api_key=SecretStr("sk-ours"), own_keys_only=True)
    found = configured({"openai": settings})["openai"]
    assert (found.enabled, found.takes_own_keys, found.is_listed) == (False, True, True)
    assert "own" in found.reason
