"""Names are made of real families, sizes and forms; the properties must hold for every combination."""

import re
from random import Random

from hypothesis import assume, example, given
from hypothesis import strategies as st

from gatewayz.catalog.identity import identify, public_id

AUTHORS = st.sampled_from(
    [
        "meta-llama",
        "Qwen",
        "mistralai",
        "deepseek-ai",
        "google",
        "openai",
        "anthropic",
        "zai-org",
        "acme",
        "nvidia",
    ]
)
FAMILIES = st.sampled_from(
    [
        "llama-3.3",
        "Llama-3.1",
        "qwen3",
        "Qwen2.5",
        "mistral-small",
        "mixtral",
        "gemma-3",
        "gpt-oss",
        "claude-sonnet-4",
        "deepseek-r1",
        "glm-4.5-air",
        "kimi-k2",
        "nemotron-nano",
        "wonder",
        "command-r",
        "grok-4",
        "phi-4-mini",
    ]
)
SIZES = st.sampled_from(["0.6b", "1.5b", "7b", "8B", "15b", "22b", "70b", "8x7b", "30b-a3b", "235B-A22B"])
FORMS = st.sampled_from(["instruct", "chat", "it", "base", "thinking", "turbo", "vision", "coder", "preview"])
QUANTIZATIONS = st.sampled_from(["fp8", "fp16", "bf16", "int4", "int8", "awq", "gptq", "nvfp4", "mxfp4"])
DATES = st.sampled_from(["2024-08-06", "20241022", "0528", "2507", "1106", "0613", "08-2024"])
VARIANTS = st.sampled_from(["free", "beta", "thinking", "extended", "nitro", "online", "batch", "exacto"])
NEUTRAL = "somewhere"


def unique_id(native_id: str) -> str:
    return identify(native_id, provider=NEUTRAL).id


@st.composite
def names(draw: st.DrawFn) -> str:
    words = [draw(FAMILIES), draw(SIZES), *draw(st.lists(FORMS, max_size=2, unique=True))]
    author = draw(st.none() | AUTHORS)
    return "-".join(words) if author is None else f"{author}/{'-'.join(words)}"


@given(names(), st.randoms(use_true_random=False))
def test_letter_case_never_changes_an_identity(name: str, random: Random) -> None:
    shuffled = "".join(random.choice([letter.lower(), letter.upper()]) for letter in name)
    assert unique_id(shuffled) == unique_id(name)


@given(names(), st.lists(st.sampled_from(["-", "_", " "]), min_size=12, max_size=12))
def test_separators_never_change_an_identity(name: str, separators: list[str]) -> None:
    following = iter(separators * 3)
    assert unique_id(re.sub("-", lambda _: next(following), name)) == unique_id(name)


@given(names())
def test_the_point_of_a_version_may_be_a_hyphen(name: str) -> None:
    versioned = re.sub(r"(?<=\d)\.(?=\d-)", "-", name)
    assert unique_id(versioned) == unique_id(name)


@given(names())
@example("meta/llama-3.3-70b")
@example("nvidia-nvidia-nemotron-nano-9b-v2")
def test_an_identity_is_its_own_identity(name: str) -> None:
    identity = identify(name, provider=NEUTRAL)
    assert identify(identity.id, provider=NEUTRAL) == identity


@given(st.text(max_size=40))
def test_every_text_has_an_identity_and_a_public_id(text: str) -> None:
    identity = identify(text, provider=NEUTRAL, name=text)
    assert identity.author
    assert identity.slug
    assert public_id(text, provider=NEUTRAL).count("/") == 1


@given(names(), VARIANTS)
def test_a_variant_is_another_model(name: str, variant: str) -> None:
    assert unique_id(f"{name}:{variant}") == f"{unique_id(name)}:{variant}"


@given(FAMILIES, SIZES, SIZES, FORMS)
def test_another_size_is_another_model(family: str, size: str, other: str, form: str) -> None:
    assume(size.lower() != other.lower())
    assert unique_id(f"{family}-{size}-{form}") != unique_id(f"{family}-{other}-{form}")


@given(names(), QUANTIZATIONS, QUANTIZATIONS)
def test_another_quantization_is_another_model(name: str, quantization: str, other: str) -> None:
    assert unique_id(f"{name}-{quantization}") != unique_id(name)
    assert (unique_id(f"{name}-{quantization}") == unique_id(f"{name}-{other}")) == (quantization == other)


@given(names(), DATES, DATES)
def test_another_date_is_another_model(name: str, date: str, other: str) -> None:
    assert unique_id(f"{name}-{date}") != unique_id(name)
    assert (unique_id(f"{name}-{date}") == unique_id(f"{name}-{other}")) == (date == other)
