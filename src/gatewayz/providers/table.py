"""The providers that gatewayz knows. To add one that speaks a known dialect: one entry here.

A wrong address, variable or shape is one line to mend; settings can override each of them without a release.
"""

from decimal import Decimal

from gatewayz.providers.auth import API_KEY, X_API_KEY, X_GOOG_API_KEY
from gatewayz.providers.listing import ListedModel
from gatewayz.providers.model import CachePriceShare, ListSource, Paging, Provider
from gatewayz.providers.shapes.table import (
    AIHUBMIX,
    ANTHROPIC,
    CHUTES,
    CLOUDFLARE,
    COHERE,
    DEEPINFRA,
    FIREWORKS,
    GEMINI,
    GROQ,
    HUGGINGFACE,
    MISTRAL,
    NOVITA,
    OPENAI,
    OPENROUTER,
    TOGETHER,
    VERCEL,
    VERTEX,
    XAI,
)

AFTER_ID = Paging("after_id", cursor="last_id", more="has_more", fixed={"limit": "1000"})
PAGE_TOKEN = Paging("pageToken", cursor="nextPageToken", fixed={"pageSize": "1000"})
SNAKE_PAGE_TOKEN = Paging("page_token", cursor="next_page_token", fixed={"page_size": "1000"})

PLAIN_LIST = ListSource(shape=OPENAI)
PUBLIC_LIST = ListSource(shape=OPENAI, needs_key=False)

_DEMO_MODEL = ListedModel(
    native_id="demo/echo",
    name="Demo: Echo",
    description="Answers with what it was asked. It needs no provider account and costs nothing.",
    context_length=128_000,
    max_output_tokens=128_000,
    input_modalities=("text",),
    output_modalities=("text",),
    prices={"prompt": Decimal(0), "completion": Decimal(0)},
    is_free=True,
    streaming=True,
)

_LARGE: tuple[Provider, ...] = (
    Provider(
        slug="openai",
        name="OpenAI",
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        listing=PLAIN_LIST,
        cache_price_share=CachePriceShare(read=Decimal("0.5")),
        read_timeout=600.0,
    ),
    Provider(
        slug="anthropic",
        name="Anthropic",
        base_url="https://api.anthropic.com/v1",
        key_variables=("ANTHROPIC_API_KEY",),
        dialect="anthropic",
        auth=X_API_KEY,
        headers={"anthropic-version": "2023-06-01"},
        listing=ListSource(shape=ANTHROPIC, paging=AFTER_ID),
        cache_price_share=CachePriceShare(read=Decimal("0.1"), write=Decimal("1.25")),
        read_timeout=600.0,
    ),
    Provider(
        slug="google",
        name="Google Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        dialect="gemini",
        auth=X_GOOG_API_KEY,
        listing=ListSource(shape=GEMINI, paging=PAGE_TOKEN),
        aliases=("gemini",),
        cache_price_share=CachePriceShare(read=Decimal("0.25")),
    ),
    Provider(
        slug="google-vertex",
        name="Google Vertex AI",
        base_url="https://{region}-aiplatform.googleapis.com/v1/projects/{project}/locations/{region}/publishers/google",
        # No key variable: GOOGLE_APPLICATION_CREDENTIALS names a file, which is never sent as a key. Settings
        # may give an access token as the key.
        url_variables={"region": "GOOGLE_CLOUD_LOCATION", "project": "GOOGLE_PROJECT_ID"},
        dialect="gemini",
        listing=ListSource(
            path="https://{region}-aiplatform.googleapis.com/v1beta1/publishers/google/models",
            shape=VERTEX,
            paging=PAGE_TOKEN,
        ),
        aliases=("vertex", "vertex-ai"),
        cache_price_share=CachePriceShare(read=Decimal("0.25")),
        on_by_default=False,
    ),
    Provider(
        slug="azure-openai",
        name="Azure OpenAI",
        base_url="https://{resource}.openai.azure.com/openai/v1",
        key_variables=("AZURE_OPENAI_API_KEY",),
        url_variables={"resource": "AZURE_OPENAI_RESOURCE"},
        auth=API_KEY,
        listing=PLAIN_LIST,
        aliases=("azure",),
        cache_price_share=CachePriceShare(read=Decimal("0.5")),
        read_timeout=600.0,
    ),
    Provider(
        slug="xai",
        name="xAI",
        base_url="https://api.x.ai/v1",
        key_variables=("XAI_API_KEY",),
        listing=ListSource(path="/language-models", shape=XAI),  # /models is there too, without prices
        aliases=("x-ai",),
        read_timeout=900.0,
    ),
    Provider(
        slug="mistral",
        name="Mistral AI",
        base_url="https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        listing=ListSource(shape=MISTRAL),
        aliases=("mistralai",),
    ),
    Provider(
        slug="deepseek",
        name="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        key_variables=("DEEPSEEK_API_KEY",),
        listing=PLAIN_LIST,
        cache_price_share=CachePriceShare(read=Decimal("0.1")),
        read_timeout=600.0,
    ),
    Provider(
        slug="cohere",
        name="Cohere",
        base_url="https://api.cohere.ai/compatibility/v1",
        key_variables=("COHERE_API_KEY", "CO_API_KEY"),
        listing=ListSource(path="https://api.cohere.com/v1/models", shape=COHERE, paging=SNAKE_PAGE_TOKEN),
    ),
    Provider(
        slug="moonshot",
        name="Moonshot AI",
        base_url="https://api.moonshot.ai/v1",
        key_variables=("MOONSHOT_API_KEY",),
        listing=PLAIN_LIST,
        aliases=("moonshotai",),
    ),
    Provider(
        slug="minimax",
        name="MiniMax",
        base_url="https://api.minimax.io/v1",
        key_variables=("MINIMAX_API_KEY",),
        listing=PLAIN_LIST,
    ),
    Provider(
        slug="zai",
        name="Z.AI",
        base_url="https://api.z.ai/api/paas/v4",
        key_variables=("ZAI_API_KEY",),
        listing=PLAIN_LIST,
        aliases=("z-ai",),
    ),
    Provider(
        slug="alibaba",
        name="Alibaba Cloud",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",  # China: dashscope.aliyuncs.com
        key_variables=("ALIBABA_CLOUD_API_KEY", "DASHSCOPE_API_KEY"),
        listing=PLAIN_LIST,
        aliases=("dashscope",),
    ),
    Provider(
        slug="perplexity",
        name="Perplexity",
        base_url="https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY",),
    ),
    Provider(
        slug="meta",
        name="Meta",
        base_url="https://api.meta.ai/v1",
        key_variables=("META_API_KEY",),
        listing=PLAIN_LIST,
    ),
    Provider(
        slug="xiaomi",
        name="Xiaomi MiMo",
        base_url="https://api.xiaomimimo.com/v1",
        key_variables=("XIAOMI_API_KEY",),
        listing=PLAIN_LIST,
    ),
)

_HOSTS: tuple[Provider, ...] = (
    Provider(
        slug="openrouter",
        name="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        headers={"X-Title": "gatewayz"},
        listing=ListSource(shape=OPENROUTER, needs_key=False),
    ),
    Provider(
        slug="deepinfra",
        name="DeepInfra",
        base_url="https://api.deepinfra.com/v1/openai",
        key_variables=("DEEPINFRA_API_KEY",),
        listing=ListSource(path="https://api.deepinfra.com/models/list", shape=DEEPINFRA, needs_key=False),
    ),
    Provider(
        slug="together",
        name="Together AI",
        base_url="https://api.together.xyz/v1",
        key_variables=("TOGETHER_API_KEY",),
        listing=ListSource(shape=TOGETHER),
        aliases=("together-ai",),
    ),
    Provider(
        slug="fireworks",
        name="Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        key_variables=("FIREWORKS_API_KEY",),
        listing=ListSource(shape=FIREWORKS),
        aliases=("fireworks-ai",),
    ),
    Provider(
        slug="groq",
        name="Groq",
        base_url="https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        listing=ListSource(shape=GROQ),
    ),
    Provider(
        slug="cerebras",
        name="Cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        listing=PLAIN_LIST,
    ),
    Provider(
        slug="featherless",
        name="Featherless AI",
        base_url="https://api.featherless.ai/v1",
        key_variables=("FEATHERLESS_API_KEY",),
        listing=PUBLIC_LIST,
    ),
    Provider(
        slug="novita",
        name="Novita AI",
        base_url="https://api.novita.ai/v3/openai",
        key_variables=("NOVITA_API_KEY",),
        listing=ListSource(shape=NOVITA, needs_key=False),
    ),
    Provider(
        slug="huggingface",
        name="Hugging Face",
        base_url="https://router.huggingface.co/v1",
        key_variables=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
        listing=ListSource(shape=HUGGINGFACE, needs_key=False),
    ),
    Provider(
        slug="nebius",
        name="Nebius AI Studio",
        base_url="https://api.studio.nebius.ai/v1",
        key_variables=("NEBIUS_API_KEY",),
        listing=ListSource(path="/models?verbose=true", shape=OPENROUTER),
    ),
    Provider(
        slug="chutes",
        name="Chutes",
        base_url="https://llm.chutes.ai/v1",
        key_variables=("CHUTES_API_KEY",),
        listing=ListSource(shape=CHUTES, needs_key=False),
    ),
    Provider(
        slug="hyperbolic",
        name="Hyperbolic",
        base_url="https://api.hyperbolic.xyz/v1",
        key_variables=("HYPERBOLIC_API_KEY",),
        listing=PLAIN_LIST,
    ),
    Provider(
        slug="sambanova",
        name="SambaNova",
        base_url="https://api.sambanova.ai/v1",
        key_variables=("SAMBANOVA_API_KEY",),
        listing=PUBLIC_LIST,
    ),
    Provider(
        slug="vercel-ai-gateway",
        name="Vercel AI Gateway",
        base_url="https://ai-gateway.vercel.sh/v1",
        key_variables=("AI_GATEWAY_API_KEY",),
        listing=ListSource(shape=VERCEL, needs_key=False),
        aliases=("vercel",),
    ),
    Provider(
        slug="near",
        name="NEAR AI",
        base_url="https://cloud-api.near.ai/v1",
        key_variables=("NEAR_API_KEY",),
        listing=PLAIN_LIST,
    ),
    Provider(
        slug="aihubmix",
        name="AiHubMix",
        base_url="https://aihubmix.com/v1",
        key_variables=("AIHUBMIX_API_KEY",),
        listing=ListSource(shape=AIHUBMIX),
    ),
    Provider(
        slug="onerouter",
        name="OneRouter",
        base_url="https://llm.infron.ai/v1",
        key_variables=("ONEROUTER_API_KEY",),
        listing=PLAIN_LIST,
        aliases=("infron",),
    ),
    Provider(
        slug="aimo",
        name="AiMo Network",
        base_url="https://beta.aimo.network/api/v1",
        key_variables=("AIMO_API_KEY",),
        listing=PLAIN_LIST,
    ),
    Provider(
        slug="clarifai",
        name="Clarifai",
        base_url="https://api.clarifai.com/v2/ext/openai/v1",
        key_variables=("CLARIFAI_API_KEY",),
    ),
    Provider(
        slug="cloudflare-workers-ai",
        name="Cloudflare Workers AI",
        base_url="https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
        key_variables=("CLOUDFLARE_API_TOKEN",),
        url_variables={"account": "CLOUDFLARE_ACCOUNT_ID"},
        listing=ListSource(
            path="https://api.cloudflare.com/client/v4/accounts/{account}/ai/models/search?per_page=1000",
            shape=CLOUDFLARE,
        ),
        aliases=("cloudflare",),
    ),
    Provider(
        slug="akash",
        name="Akash ML",
        base_url="https://api.akashml.com/v1",
        key_variables=("AKASH_API_KEY",),
        listing=PLAIN_LIST,
    ),
)

_LOCAL: tuple[Provider, ...] = tuple(
    Provider(
        slug=slug,
        name=name,
        base_url=f"http://127.0.0.1:{port}/v1",
        listing=PUBLIC_LIST,
        aliases=aliases,
        read_timeout=600.0,
        needs_key=False,
        on_by_default=False,
    )
    for slug, name, port, aliases in (
        ("ollama", "Ollama", 11434, ()),
        ("vllm", "vLLM", 8000, ()),
        ("llama-cpp", "llama.cpp", 8080, ("llama.cpp", "llamacpp")),
    )
)

_DEMO = Provider(slug="demo", name="Demo", base_url=None, dialect="echo", models=(_DEMO_MODEL,), needs_key=False)

PROVIDERS: tuple[Provider, ...] = (*_LARGE, *_HOSTS, *_LOCAL, _DEMO)
