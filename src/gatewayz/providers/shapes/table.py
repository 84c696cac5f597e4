"""The shapes of model lists that are in use, by name. To add one: an entry here, a recorded list in tests."""

from collections.abc import Mapping

from msgspec.structs import replace

from gatewayz.providers.prices import Unit
from gatewayz.providers.shapes.flatten import dearest_host, properties
from gatewayz.providers.shapes.form import Flag, PriceAt, Shape, Skip


def _prices(unit: Unit, **paths: str) -> Mapping[str, tuple[PriceAt, ...]]:
    return {field: tuple(PriceAt(path, unit) for path in told.split()) for field, told in paths.items()}


def _word_flags(path: str, **words: str) -> Mapping[str, tuple[Flag, ...]]:
    return {capability: (Flag(path, frozenset(told.split())),) for capability, told in words.items()}


OPENROUTER = Shape(
    names=("name",),
    context=("context_length", "top_provider.context_length"),
    max_output=("top_provider.max_completion_tokens",),
    input_modalities=("architecture.input_modalities",),
    output_modalities=("architecture.output_modalities",),
    modality=("architecture.modality",),
    tokenizer=("architecture.tokenizer",),
    parameters=("supported_parameters",),
    prices=_prices(
        Unit.USD,
        prompt="pricing.prompt",
        completion="pricing.completion",
        input_cache_read="pricing.input_cache_read",
        input_cache_write="pricing.input_cache_write",
        image="pricing.image",
        request="pricing.request",
    ),
    flags=_word_flags(
        "supported_parameters",
        tools="tools",
        json="response_format structured_outputs",
        reasoning="reasoning include_reasoning",
    ),
)

# What lists that call themselves OpenAI-compatible have in common, beyond the id that the original has.
OPENAI = replace(
    OPENROUTER,
    rows=("data", "models", ""),
    ids=("id", "model_id"),
    names=("name", "display_name", "title"),
    context=("context_length", "context_window", "max_context_length", "max_model_len", "context_size"),
    max_output=("max_completion_tokens", "max_output_tokens", "top_provider.max_completion_tokens"),
    input_modalities=("architecture.input_modalities", "input_modalities"),
    output_modalities=("architecture.output_modalities", "output_modalities"),
)

TOGETHER = Shape(
    rows=("", "data"),
    names=("display_name",),
    context=("context_length",),
    kind=("type",),
    unpriced_kinds=frozenset({"image", "audio", "video", "transcribe"}),
    prices=_prices(
        Unit.USD_PER_MILLION,
        prompt="pricing.input",
        completion="pricing.output",
        input_cache_read="pricing.cached_input",
    ),
)

DEEPINFRA = Shape(
    rows=("", "data"),
    ids=("model_name",),
    created=(),
    context=("max_tokens",),
    kind=("reported_type", "type"),
    prices={
        "prompt": (PriceAt("pricing.cents_per_input_token", Unit.CENTS),),
        "completion": (PriceAt("pricing.cents_per_output_token", Unit.CENTS),),
        "input_cache_read": (PriceAt("pricing.rate_per_input_token_cached", share_of="prompt"),),
        "image": (PriceAt("pricing.cents_per_image_unit", Unit.CENTS),),
    },
    flags=_word_flags("tags", tools="tools", vision="vision", json="json", reasoning="reasoning"),
)

FIREWORKS = Shape(
    names=("display_name",),
    context=("context_length",),
    flags={"tools": (Flag("supports_tools"),), "vision": (Flag("supports_image_input"),)},
)

GROQ = Shape(
    context=("context_window",),
    max_output=("max_completion_tokens",),
    skips=(Skip("active", (False,), "inactive"),),
)

NOVITA = Shape(
    names=("display_name", "title"),
    context=("context_size",),
    max_output=("max_output_tokens",),
    input_modalities=("input_modalities",),
    output_modalities=("output_modalities",),
    kind=("model_type",),
    prices=_prices(
        Unit.TEN_THOUSANDTHS_OF_USD_PER_MILLION,
        prompt="input_token_price_per_m",
        completion="output_token_price_per_m",
    ),
    flags=_word_flags("features", tools="function-calling", json="structured-outputs json-mode", reasoning="reasoning"),
)

ANTHROPIC = Shape(
    names=("display_name",),
    created=("created_at",),
    context=("max_input_tokens",),
    max_output=("max_tokens",),
)

GEMINI = Shape(
    rows=("models",),
    ids=("name",),
    id_prefixes=("models/",),
    names=("displayName",),
    created=(),
    context=("inputTokenLimit",),
    max_output=("outputTokenLimit",),
    flags={
        "reasoning": (Flag("thinking"),),
        **_word_flags("supportedGenerationMethods", prompt_caching="createcachedcontent"),
    },
)

VERTEX = replace(GEMINI, rows=("publisherModels",), id_prefixes=("publishers/google/models/",))

VERCEL = Shape(
    names=("name",),
    context=("context_window",),
    max_output=("max_tokens",),
    kind=("type",),
    prices=_prices(
        Unit.USD,
        prompt="pricing.input",
        completion="pricing.output",
        input_cache_read="pricing.input_cache_read",
        input_cache_write="pricing.input_cache_write",
        image="pricing.image",
    ),
    flags=_word_flags(
        "tags",
        tools="tool-use",
        vision="vision",
        reasoning="reasoning",
        prompt_caching="implicit-caching explicit-caching",
    ),
)

COHERE = Shape(
    rows=("models",),
    ids=("name",),
    created=(),
    context=("context_length",),
    skips=(Skip("is_deprecated", (True,), "deprecated"),),
    flags=_word_flags("features", tools="tools", vision="vision", json="json_mode json_schema", reasoning="reasoning"),
)

HUGGINGFACE = Shape(
    context=("context_length",),
    input_modalities=("architecture.input_modalities",),
    output_modalities=("architecture.output_modalities",),
    prices=_prices(Unit.USD_PER_MILLION, prompt="input_price", completion="output_price"),
    flags={"tools": (Flag("supports_tools"),), "json": (Flag("supports_structured_output"),)},
    flatten=dearest_host,
)

MISTRAL = Shape(
    names=("name",),
    context=("max_context_length",),
    flags={
        "tools": (Flag("capabilities.function_calling"),),
        "vision": (Flag("capabilities.vision"),),
        "reasoning": (Flag("capabilities.reasoning"),),
    },
)

XAI = Shape(
    rows=("models", "data"),
    input_modalities=("input_modalities",),
    output_modalities=("output_modalities",),
    prices=_prices(
        Unit.TEN_THOUSANDTHS_OF_USD_PER_MILLION,
        prompt="prompt_text_token_price",
        completion="completion_text_token_price",
        input_cache_read="cached_prompt_text_token_price",
    ),
)

CHUTES = Shape(
    context=("context_length", "max_model_len"),
    max_output=("max_output_length",),
    input_modalities=("input_modalities",),
    output_modalities=("output_modalities",),
    parameters=("supported_sampling_parameters",),
    prices=_prices(
        Unit.USD_PER_MILLION,
        prompt="price.input.usd pricing.prompt",
        completion="price.output.usd pricing.completion",
        input_cache_read="price.input_cache_read.usd pricing.input_cache_read",
    ),
    flags=_word_flags("supported_features", tools="tools", json="json_mode structured_outputs", reasoning="reasoning"),
)

AIHUBMIX = Shape(
    ids=("id", "model_id"),
    names=("name",),
    context=("context_length",),
    max_output=("max_output",),
    prices=_prices(
        Unit.USD_PER_THOUSAND,
        prompt="pricing.input pricing.prompt",
        completion="pricing.output pricing.completion",
        input_cache_read="pricing.cache_read",
        input_cache_write="pricing.cache_write",
    ),
)

CLOUDFLARE = Shape(
    rows=("result",),
    ids=("name",),
    created=("created_at",),
    context=("context_window",),
    kind=("task.name",),
    prices=_prices(Unit.USD_PER_MILLION, prompt="input_price", completion="output_price"),
    flags={
        "tools": (Flag("function_calling"),),
        "vision": (Flag("vision"),),
        "reasoning": (Flag("reasoning"),),
    },
    flatten=properties,
)

# A map from id to prices, as published for many providers in one file; two of its entries are documentation.
PRICE_MAP = Shape(
    rows=("",),
    keyed=True,
    ids=(),
    id_prefix_path="litellm_provider",
    excluded_ids=frozenset({"sample_spec", "fallback_generalizations"}),
    created=(),
    descriptions=(),
    context=("max_input_tokens", "max_tokens"),
    max_output=("max_output_tokens",),
    input_modalities=("supported_modalities",),
    output_modalities=("supported_output_modalities",),
    kind=("mode",),
    unpriced_kinds=frozenset(
        {
            *("image_generation", "image_edit", "video_generation", "audio_transcription", "audio_speech"),
            *("ocr", "search", "evaluation", "extraction", "guardrail", "vector_store"),
        }
    ),
    prices=_prices(
        Unit.USD,
        prompt="input_cost_per_token",
        completion="output_cost_per_token",
        input_cache_read="cache_read_input_token_cost input_cost_per_token_cache_hit",
        input_cache_write="cache_creation_input_token_cost",
        image="input_cost_per_image",
        request="input_cost_per_query",
    ),
    flags={
        "tools": (Flag("supports_function_calling"),),
        "vision": (Flag("supports_vision"),),
        "json": (Flag("supports_response_schema"),),
        "reasoning": (Flag("supports_reasoning"),),
        "prompt_caching": (Flag("supports_prompt_caching"),),
        "streaming": (Flag("supports_native_streaming"),),
    },
)

# The rows that gatewayz itself makes of the prices it is shipped with (offline.py).
OFFLINE = Shape(
    names=("name",),
    created=(),
    context=("context_window",),
    prices={
        **_prices(
            Unit.USD_PER_MILLION,
            prompt="prices.input_mtok",
            completion="prices.output_mtok",
            input_cache_read="prices.cache_read_mtok",
            input_cache_write="prices.cache_write_mtok",
        ),
        **_prices(Unit.USD_PER_THOUSAND, request="prices.requests_kcount"),
    },
)

SHAPES: Mapping[str, Shape] = {
    "openai": OPENAI,
    "openrouter": OPENROUTER,
    "together": TOGETHER,
    "deepinfra": DEEPINFRA,
    "fireworks": FIREWORKS,
    "groq": GROQ,
    "novita": NOVITA,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "vertex": VERTEX,
    "vercel": VERCEL,
    "cohere": COHERE,
    "huggingface": HUGGINGFACE,
    "mistral": MISTRAL,
    "xai": XAI,
    "chutes": CHUTES,
    "aihubmix": AIHUBMIX,
    "cloudflare": CLOUDFLARE,
    "price_map": PRICE_MAP,
}
