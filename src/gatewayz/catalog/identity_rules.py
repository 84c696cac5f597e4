"""Which names mean the same model: the facts, as data. `identity.py` is the algorithm that reads them.

Facts are added here whenever a real name is found to split or to merge wrongly, together with a line in
tests/fixtures/identity_names.json. In doubt names stay apart: a split shows one model twice, a wrong merge
sends a request to another model.

All patterns see a *cleaned* name: lower case, words parted by `-`, versions dotted (`llama-3.3-70b`).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple


class Rewrite(NamedTuple):
    pattern: re.Pattern[str]
    replacement: str


def _rewrites(*pairs: tuple[str, str]) -> tuple[Rewrite, ...]:
    return tuple(Rewrite(re.compile(pattern), replacement) for pattern, replacement in pairs)


def _by_word(words_of: Mapping[str, str]) -> Mapping[str, str]:
    return {word: author for author, words in words_of.items() for word in words.split()}


# ── Where a name was found: no part of what the model is ────────────────────────────────────────────────

# First path segments that say who passes the request on. A name with nothing else to tell its author
# falls back to the last of these that was taken off.
GATEWAYS = frozenset(
    (  # noqa: SIM905  seventy names read better as lines of words
        "aiml aimo akash anyscale aws azure azure-ai azure-openai baseten bedrock bedrock-converse "
        "bedrock-mantle cerebras chutes clarifai cloudflare-workers-ai crusoe dashscope databricks "
        "deepinfra doubleword featherless featherless-ai fireworks fireworks-ai friendliai github-copilot "
        "gmi google-vertex gradient-ai groq heroku huggingface hyperbolic inferenceapis lambda-ai "
        "lemonade libertai llamagate meta-llama-api near nebius novita nscale nvidia-nim oci ollama "
        "onerouter openinfer openrouter ovhcloud pinstripes ps qwen-ai-platform qwencloud replicate "
        "sagemaker sail sambanova scaleway snowflake tensormesh together together-ai vercel-ai-gateway "
        "vertex-ai volcengine wandb watsonx"
    ).split()
)

# Providers that write their own name before other authors' models: `perplexity/glm-5.3` is z-ai's.
RESELLERS = frozenset({"mistral", "perplexity", "tencent"})

# Path segments that say where it runs (`us-east-1`, `eu`, `global-standard`), in which drawer (`@cf`,
# `models`) or by which call (`invoke`).
PLACE = re.compile(
    r"@\w+|\*|models|invoke|converse|global(?:-standard)?|eu|us|us-gov|apac|[a-z]{2}(?:-gov)?-[a-z]+-\d|\d+-month-commitment"
)

# Bedrock: `[place.]author.model[-vN][:M]`.
DOTTED = re.compile(
    r"(?:(?:us|eu|apac|au|jp|ca|global|regional|us-gov)\.)?"
    r"(ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai"
    r"|qwen|stability|twelvelabs|writer|xai|zai)\.(?=[a-z])"
)

# Words that hosts put around a name without changing the model.
HOST_AFFIXES = re.compile(
    r"^(?:(?:databricks|fw|system-ai)-)+(?=.)"  # Databricks endpoints, Fireworks on Azure, Unity Catalog
    r"|(?<=.)-maas$"  # Vertex: model as a service
)

# Endings by which one provider marks a place.
PLACE_ENDINGS: Mapping[str, str] = {"fireworks": "-us"}


# ── Authors ─────────────────────────────────────────────────────────────────────────────────────────────

# The spelling OpenRouter made common, and the others.
_SPELLINGS: Mapping[str, str] = {
    "01-ai": "zero-one-ai",
    "aisingapore": "",
    "alibaba": "alibaba-cloud alibabacloud",
    "allenai": "",
    "amazon": "amazon-nova aws bedrock",
    "anthropic": "",
    "arcee-ai": "arcee",
    "black-forest-labs": "blackforestlabs",
    "bytedance-seed": "",
    "cohere": "",
    "deepcogito": "deep-cogito",
    "deepseek": "deepseek-ai",
    "featherless": "featherless-ai",
    "google": "gemini google-vertex vertex-ai",
    "ibm-granite": "ibm",
    "inflection": "",
    "liquid": "liquidai",
    "meta": "facebook meta-llama-api meta-models metallama",
    "meta-llama": "codellama",
    "microsoft": "azure azure-ai",
    "minimax": "minimaxai",
    "mistralai": "mistral mistral-ai",
    "moonshotai": "moonshot moonshot-ai",
    "nousresearch": "nous",
    "nvidia": "",
    "openai": "azure-openai open-ai",
    "perplexity": "perplexity-ai",
    "prime-intellect": "",
    "qwen": "alibaba-qwen dashscope qwen-ai-platform qwencloud",
    "ricursiveai": "ricursive-ai",
    "sao10k": "",
    "stabilityai": "stability stability-ai",
    "stepfun": "stepfun-ai",
    "togethercomputer": "together together-ai",
    "vercel": "v0",
    "voyageai": "voyage",
    "x-ai": "xai",
    "xiaomi": "xiaomi-mimo xiaomimimo",
    "z-ai": "thudm zai zai-org zhipu zhipuai",
}
AUTHORS: Mapping[str, str] = {author: author for author in _SPELLINGS} | dict(_by_word(_SPELLINGS))

# Houses with several author names. The family decides
# (`meta/llama-…` is meta-llama's, `meta/muse-…` meta's).
HOUSES: Mapping[str, str] = {"bytedance-seed": "bytedance", "meta-llama": "meta", "qwen": "alibaba"}

# Names that begin like one family and belong to someone else. Asked before FAMILIES.
EXCEPTIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), author)
    for pattern, author in (
        (r"llama-.*nemotron", "nvidia"),
        (r"llama-.*sonar|r1-1776", "perplexity"),
        (r"llama-.*lumimaid", "neversleep"),
        (r"llama-.*typhoon", "scb10x"),
        (r"llama-3-groq", "groq"),
        (r"llama-rank", "salesforce"),
        (r"codellama-.*solidity", "alfredpros"),
        (r"deepseek-r1t|tng-", "tngtech"),
        (r"qwq-32b-arliai", "arliai"),
        (r"nous-hermes|nous-capybara", "nousresearch"),
        (r"openai-|ft-(?:gpt|o\d|babbage|davinci)", "openai"),
        (
            r"text-(?:embedding-(?:ada|3)|davinci|moderation)|computer-use|codex-|tts-\d|omni-moderation",
            "openai",
        ),
        (r"text-(?:multilingual-)?embedding|text-(?:unicorn|bison)|deep-research-|nano-banana", "google"),
        (r"code-llama", "meta-llama"),
        (r"embed-(?:v-?\d|english|multilingual)|rerank-(?:v\d|english|multilingual)|c4ai-", "cohere"),
        (r"l3(?:\.\d)?-(?:euryale|lunaris|stheno|hanami)", "sao10k"),
        (r"nova-(?:\d-)?(?:lite|micro|pro|premier|canvas|reel|sonic)|nova-2-multimodal", "amazon"),
        (r"magnum-72b|goliath", "alpindale"),
        (r"mn-celeste", "nothingiisreal"),
        (r"mn-starcannon", "aetherwiing"),
        (r"mn-inferor", "infermatic"),
        (r"mythalion", "pygmalionai"),
        (r"eva-(?:llama|qwen)", "eva-unit-01"),
        (r"glm-z1|glm-\d|glm-ocr", "z-ai"),
        (r"kimi-|moonshot-v", "moonshotai"),
    )
)

# An author, and the first words of its models' names.
FAMILIES: Mapping[str, str] = _by_word(
    {
        "01-ai": "yi",
        "agentica-org": "deepcoder",
        "ai21": "jamba",
        "all-hands": "openhands",
        "allenai": "olmo",
        "amazon": "titan",
        "anthracite-org": "magnum",
        "anthropic": "claude",
        "arcee-ai": "arcee caller maestro spotlight trinity virtuoso",
        "baai": "bge",
        "baidu": "ernie",
        "bigcode": "starcoder",
        "black-forest-labs": "flux",
        "bytedance-seed": "doubao seed",
        "cognitivecomputations": "dolphin",
        "cohere": "command",
        "databricks": "dbrx",
        "deepcogito": "cogito",
        "deepseek": "deepseek",
        "eleutherai": "llemma",
        "elevenlabs": "eleven",
        "featherless": "qwerky",
        "google": "codegemma gemini gemma imagen learnlm lyria medlm veo",
        "gryphe": "mythomax",
        "huggingfaceh4": "zephyr",
        "ibm-granite": "granite",
        "inception": "mercury",
        "inclusionai": "ling ring",
        "jondurbin": "airoboros",
        "kwaipilot": "kat",
        "liquid": "lfm",
        "lmsys": "vicuna",
        "meituan": "longcat",
        "meta": "muse",
        "meta-llama": "codellama llama",
        "microsoft": "mai phi wizardlm",
        "minimax": "minimax",
        "mistralai": "codestral devstral magistral ministral mistral mixtral pixtral voxtral",
        "moonshotai": "kimi moonshot",
        "morph": "morph",
        "neversleep": "noromaid",
        "nousresearch": "deephermes hermes",
        "nvidia": "nemotron",
        "openai": "ada babbage chatgpt codex curie dall davinci gpt o1 o3 o4 sora whisper",
        "openchat": "openchat",
        "opengvlab": "internvl",
        "perplexity": "pplx sonar",
        "qwen": "qvq qwen qwq",
        "raifle": "sorcererlm",
        "rekaai": "reka",
        "sao10k": "fimbulvetr",
        "sarvam": "sarvam",
        "shisa-ai": "shisa",
        "sophosympatheia": "midnight",
        "stepfun": "step",
        "teknium": "openhermes",
        "tencent": "hunyuan hy hy3 hy4",
        "thedrummer": "anubis cydonia valkyrie",
        "thinkingmachines": "inkling",
        "typesafe": "jev",
        "undi95": "toppy",
        "voyageai": "voyage",
        "writer": "palmyra",
        "x-ai": "grok",
        "xiaomi": "mimo",
        "z-ai": "chatglm glm",
    }
)

# Providers whose bare names are all their own, whatever they sound like: Deepgram's `nova-2` is not Amazon's.
OWN_NAMES = frozenset({"deepgram", "assemblyai", "elevenlabs"})


# ── Spelling within a family ────────────────────────────────────────────────────────────────────────────

# By author, in order; each sees what the one before left. `-instruct`, `-chat`, `-it` are part of a name,
# because plain names are base models on Hugging Face and OpenRouter (`llama-3.1-405b`); where no base model
# exists under a name, or a host serves none, the plain name is given the word it stands for.
REWRITES: Mapping[str, tuple[Rewrite, ...]] = {
    "ai21": _rewrites((r"^jamba-(\d\.\d)-(large|mini)", r"jamba-\2-\1")),
    "amazon": _rewrites(
        (r"^(nova-.+)-v1$", r"\1"),  # Bedrock's revision, kept by OpenRouter without the `:0`
    ),
    "anthropic": _rewrites(
        (r"^claude-v(?=\d)", "claude-"),
        (r"^claude-([4-9](?:\.\d+)?)-([a-z]+)", r"claude-\2-\1"),  # 4-sonnet, Vertex's and DeepInfra's order
        (r"^claude-(opus|sonnet|haiku)-(3(?:\.\d)?)(?!\d)", r"claude-\2-\1"),
        (r"^(claude-[a-z]+-\d+)\.0(?!\d)", r"\1"),  # claude-opus-4-0 is Anthropic's alias of claude-opus-4
        (r"^(claude-.*\d.*)-v\d+$", r"\1"),  # Bedrock's revision
        (r"^(claude-.*\d.*)-latest$", r"\1"),  # with its version said, there is no later one
    ),
    "cohere": _rewrites((r"^embed-v-(?=\d)", "embed-v"), (r"^(embed-v\d)\.0(?!\d)", r"\1")),
    "deepseek": _rewrites(
        (r"^(?=[rv]\d)", "deepseek-"),  # Bedrock: deepseek.r1, deepseek.v3.2
        (r"^deepseek-chat-(?=v\d)", "deepseek-"),  # OpenRouter: deepseek-chat-v3.1 is DeepSeek V3.1
        (r"^(deepseek-r1(?:-\d{4})?)-671b", r"\1"),  # the only size of R1 itself
    ),
    "google": _rewrites(
        (r"^gemini-25-", "gemini-2.5-"),
        (r"^gemini-(pro|flash)-(\d\.\d)", r"gemini-\2-\1"),
    ),
    "meta-llama": _rewrites(
        (r"^code-llama", "codellama"),
        (r"-hf(?=-|$)", ""),  # converted for Hugging Face: the same weights
        (r"^(llama-2-\d+b)-4096$", r"\1-chat"),  # Groq named the context
        (r"^(llama-3-\d+b)-8192$", r"\1-instruct"),
        (r"^(llama-3-\d+b)-chat", r"\1-instruct"),  # Together
        (r"^(llama-3\.\d-\d+b)-(?:versatile|instant)$", r"\1-instruct"),  # Groq's words for the instruct form
        (r"^(llama-3\.2-(?:11|90)b)-instruct", r"\1-vision-instruct"),  # these two sizes all see
        (r"^(llama-3\.3-\d+b)(?!.*-(?:instruct|base))", r"\1-instruct"),  # Meta published no 3.3 base
        (r"^llama-4-scout(?:-17b)?(?:-16e)?-instruct", "llama-4-scout"),
        (r"^llama-4-maverick(?:-17b)?(?:-128e)?-instruct", "llama-4-maverick"),
    ),
    "minimax": _rewrites((r"^(?=m\d)", "minimax-")),
    "mistralai": _rewrites(
        (r"^open-(?=mi)", ""),
        (r"-hf(?=-|$)", ""),
        (r"^(mixtral-8x7b)-32768$", r"\1-instruct"),  # Groq named the context
        (r"^(mixtral-8x(?:7|22)b-instruct)-v0\.1", r"\1"),  # there is no other
        (r"^(mistral-nemo)-instruct(?=-2407)", r"\1"),
        (r"^(mistral-[a-z]+-\d)\.0(?!\d)", r"\1"),  # mistral-ocr-4-0 is mistral-ocr-4
    ),
    "moonshotai": _rewrites(
        (r"^(kimi-k2)-instruct(?=-|$)", r"\1"),  # the plain name is the instruct form; the other says -base
        (r"^(kimi-k2-\d{4})-preview$", r"\1"),  # Moonshot's own name for the dated release
    ),
    "nousresearch": _rewrites((r"^hermes-3-(?=\d+b)", "hermes-3-llama-3.1-")),
    "nvidia": _rewrites(
        (r"^nemotron-(nano|super|ultra)-(3(?:\.\d)?)-", r"nemotron-\2-\1-"),  # Bedrock's order
        (r"^(nemotron-3-nano-30b)(?!-a)", r"\1-a3b"),
        (r"^(nemotron-3-super-120b)(?!-a)", r"\1-a12b"),
    ),
    "openai": _rewrites(
        (r"^gpt-35(?=-)", "gpt-3.5"),  # Azure allowed no dot
        (r"^(gpt-\d(?:\.\d+)?-chat)-latest$", r"\1"),
    ),
    "qwen": _rewrites(
        (r"^qwen-(\d)([1-9])(?=-)", r"qwen-\1.\2"),  # qwen35-122b, qwen25-coder
        (r"^qwen-(?=\d)", "qwen"),  # as Qwen writes it
        (r"^qwen3-0-(?=\d+b)", "qwen3-0."),  # qwen3-0-6b
        (r"^qwen3\.0-(?=[0-9]b)", "qwen3-0."),
        (r"^(qwen3-coder-480b)(?!-a35b)", r"\1-a35b"),
        (r"^(qwen3-coder-\d+b-a\d+b)(?!-instruct)", r"\1-instruct"),  # no other form was published
        (r"^(qwen3-235b-a22b)-(?=2507)", r"\1-instruct-"),  # OpenRouter; the other form says -thinking
    ),
    "sao10k": _rewrites((r"^l3([1-3])-(?=\d+b-)", r"l3.\1-")),
    "typesafe": _rewrites((r"^(jev-\d+\.\d+)\.0$", r"\1")),
    "x-ai": _rewrites((r"^(grok-\d.*)-latest$", r"\1")),
}

# Hosts that serve no base models, and the word their plain names leave out.
SERVES_NO_BASE = frozenset({"aws", "bedrock", "cerebras", "databricks", "mistral", "snowflake", "vercel-ai-gateway"})
PLAIN_FORMS: Mapping[str, tuple[Rewrite, ...]] = {
    "google": _rewrites((r"^(gemma-\d-\d+b(?:-a\d+b)?)$", r"\1-it")),
    "meta-llama": _rewrites(
        (r"^(llama-3\.2-(?:11|90)b)$", r"\1-vision-instruct"),
        (r"^(llama-3(?:\.\d)?-\d+b)$", r"\1-instruct"),
    ),
    "mistralai": _rewrites((r"^(mixtral-8x\d+b)$", r"\1-instruct")),
    "qwen": _rewrites((r"^(qwen3-(?:next|vl)-\d+b-a\d+b)$", r"\1-instruct")),
}

# Names that only their provider's list explains: (provider, name as listed without variant) → full name.
ALIASES: Mapping[tuple[str, str], str] = {
    ("vercel-ai-gateway", "alibaba/qwen3-coder"): "qwen/qwen3-coder-480b-a35b-instruct",
    ("openrouter", "qwen/qwen3-coder"): "qwen/qwen3-coder-480b-a35b-instruct",
}


# ── Display ─────────────────────────────────────────────────────────────────────────────────────────────

WORDS: Mapping[str, str] = {
    "ai": "AI", "chatgpt": "ChatGPT", "codellama": "CodeLlama", "deephermes": "DeepHermes",
    "deepseek": "DeepSeek", "ernie": "ERNIE", "glm": "GLM", "gpt": "GPT", "it": "IT", "lfm": "LFM",
    "longcat": "LongCat", "mai": "MAI", "mimo": "MiMo", "minimax": "MiniMax", "mythomax": "MythoMax",
    "o1": "o1", "o3": "o3", "o4": "o4", "ocr": "OCR",
    "olmo": "OLMo", "oss": "OSS", "qvq": "QVQ", "qwq": "QwQ",
    "tts": "TTS", "vl": "VL", "wizardlm": "WizardLM", "xl": "XL",
}  # fmt: skip
