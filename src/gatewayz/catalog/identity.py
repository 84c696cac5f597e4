"""Which model a provider's name means.

    us.meta.llama3-3-70b-instruct-v1:0     as listed
    meta · llama3-3-70b-instruct           without the route to it
    meta · llama-3.3-70b-instruct          in one spelling
    meta-llama · llama-3.3-70b-instruct    with its author, in the family's spelling

Two names are one model when only letter case, separators, the writing of versions and dates, the author's
alias, or the route to it differ. Size, version, quantization, date, training form (base, instruct, thinking),
served form (turbo, fast, preview) and `:variant` keep models apart. The facts are in `identity_rules.py`.
"""

import re

from msgspec import Struct

from gatewayz.catalog import identity_rules as rules

_SPACES = re.compile(r"\s+")
_SEPARATORS = re.compile(r"(?:[^\w.]|_)+")
_DIGIT_P_DIGIT = re.compile(r"(?<=\d)p(?=\d)")  # Fireworks: v3p3
_LOOSE_DOT = re.compile(r"(?<!\d)\.|\.(?!\d)")
# `llama3` is `llama-3`, but `k2`, `r1`, `4o` and `fp8` are words of their own.
_WORD_NUMBER = re.compile(r"(?<![a-z])(?!(?:int|uint|nvfp|mxfp)\d)([a-z]{3,})(?=\d)")
_LLAMA_V = re.compile(r"(?<![a-z])llama-v(?=\d)")

_YEAR = re.compile(r"20[12]\d")
_MONTH = re.compile(r"0[1-9]|1[0-2]")
_DAY = re.compile(r"0[1-9]|[12]\d|3[01]")
_VERSION_HEAD = re.compile(r"[a-z]?\d(?:\.\d+)*")
_VERSION_TAIL = re.compile(r"0|[1-9]\d?")
_SUB_BILLION = re.compile(r"\d+b")
_FULL_DATE = re.compile(r"(?<!\d)(20[12]\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")
_DASHED_DATE = re.compile(r"(?<!\d)(20[12]\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?!\d)")

_REVISION = re.compile(r"-v?1$")
_SIZE_TAG = re.compile(r"[a-z]?\d[\w.]*b(?:-.*)?")
_LISTED_AUTHOR = re.compile(r"^[^:()]{1,40}: ")
_SCREAMING = re.compile(
    r"[a-z]?\d+(?:\.\d+)?(?:x\d+)?[bmkte]|[a-z]{1,2}\d+(?:\.\d+)?|(?:nv|mx|b)?fp\d+|int\d+|awq|gptq|gguf"
)


class Identity(Struct, frozen=True):
    """A model whoever offers it. `author` and `slug` are canonical, `name` is for people.

    `author` is never empty: a name that tells nothing about its author belongs to the provider that lists it,
    so that two strangers' models of one name are not taken for one.
    """

    author: str
    slug: str
    name: str

    @property
    def id(self) -> str:
        return f"{self.author}/{self.slug}"


class _Parts(Struct, frozen=True):
    """A listed name taken apart. `author` is as listed; `fallback` is named when no one else is known."""

    author: str | None
    slug: str
    variant: str
    fallback: str


def identify(native_id: str, *, provider: str, name: str | None = None) -> Identity:
    """The model that `provider` lists as `native_id`; `name` is the listed display name, if any.

    Pure and total: every string has an identity, and an identity's id, listed by a provider that no rule
    names, has that same id.
    """
    parts = _take_apart(native_id, provider)
    full_name = rules.ALIASES.get((provider, f"{parts.author}/{parts.slug}"))
    if full_name is not None:
        listed_author, _, slug = full_name.partition("/")
        parts = _Parts(listed_author, slug, parts.variant, parts.fallback)
    text = _clean(parts.slug)
    ending = rules.PLACE_ENDINGS.get(provider)
    if ending is not None:
        text = text.removesuffix(ending)
    author = _author(parts, text)
    slug = _family_spelling(_without_author(text, author), author, provider)
    return Identity(author, slug + parts.variant, _display_name(slug, parts.variant, author, name))


def public_id(native_id: str, *, provider: str) -> str:
    """The lower-case `author/slug` under which one provider's offer is listed.

    The provider's own spelling is kept; only the route is taken off and a missing author supplied. Two native
    ids that differ in nothing but the route (`us.` and `eu.`) share one.
    """
    parts = _take_apart(native_id, provider)
    author = parts.author or _author(parts, _clean(parts.slug))
    return f"{author}/{parts.slug}{parts.variant}"


# ── Taking apart ────────────────────────────────────────────────────────────────────────────────────────


def _take_apart(native_id: str, provider: str) -> _Parts:
    text = _SPACES.sub("-", native_id.strip().lower()).lstrip("~")
    if text.startswith("ft:"):  # OpenAI's fine-tunes: ft:gpt-4o:org::id
        text = text.replace(":", "-")
    path, *tags = text.split(":")
    segments = [segment for segment in path.split("/") if segment.strip("-.")]
    segments, gateway = _without_route(segments, provider)
    *authors, last = segments or [_SEPARATORS.sub("-", text).strip("-") or "unnamed"]
    author = authors[0] if authors else None
    last = "-".join([*authors[1:], last])
    dotted = rules.DOTTED.match(last) if author is None else None
    if dotted is not None:
        author, last = dotted[1], last[dotted.end() :]
    slug, variant = _split_tags(last, tags)
    return _Parts(author, slug, variant, gateway or provider)


def _without_route(segments: list[str], provider: str) -> tuple[list[str], str | None]:
    """The segments that name the model, and the gateway whose name was last taken off."""
    gateway = None
    while len(segments) > 1:
        head = segments[0].replace("_", "-")
        if head in {"accounts", "publishers"} and len(segments) > 3:
            segments = [segments[1], *segments[3:]]  # accounts/fireworks/models/…, publishers/google/models/…
            continue
        own_prefix = head == provider and (head not in _KNOWN_AUTHORS or head in rules.RESELLERS)
        if head in rules.GATEWAYS or own_prefix:
            gateway = head
        elif not rules.PLACE.fullmatch(head):
            return segments, gateway
        segments = segments[1:]
    return segments, gateway


def _split_tags(slug: str, tags: list[str]) -> tuple[str, str]:
    """What follows a colon is a variant (`:free`), Bedrock's revision (`-v1:0`) or Ollama's size (`:70b`)."""
    variants = []
    for tag in tags:
        if tag.isdigit():
            slug = _REVISION.sub("", slug) if tag == "0" else f"{slug}.{tag}"
        elif _SIZE_TAG.fullmatch(tag):
            slug = f"{slug}-{tag}"
        elif word := _SEPARATORS.sub("-", tag).strip("-."):
            variants.append(word)
    return slug.removesuffix("@default"), "".join(f":{word}" for word in variants if word != "latest")


# ── One spelling ────────────────────────────────────────────────────────────────────────────────────────


def _clean(slug: str) -> str:
    text = slug.replace("+", "-plus")
    text = _DIGIT_P_DIGIT.sub(".", text)
    text = _LOOSE_DOT.sub("-", text)
    text = _WORD_NUMBER.sub(r"\1-", text)
    words = _SEPARATORS.sub("-", text).strip("-").split("-")
    text = "-".join(_join_versions(_join_dates(words)))
    return rules.HOST_AFFIXES.sub("", _LLAMA_V.sub("llama-", text)) or "unnamed"


def _join_dates(words: list[str]) -> list[str]:
    """2024 08 06 → 20240806, 05 06 → 0506. Month and year (08 2024) stay two words."""
    joined: list[str] = []
    index = 0
    while index < len(words):
        word, following = words[index], words[index + 1 : index + 3]
        if len(following) == 2 and _YEAR.fullmatch(word) and _is_month_and_day(*following):
            joined.append(word + "".join(following))
            index += 3
        elif following and _is_month_and_day(word, following[0]):
            joined.append(word + following[0])
            index += 2
        else:
            joined.append(word)
            index += 1
    return joined


def _is_month_and_day(month: str, day: str) -> bool:
    return bool(_MONTH.fullmatch(month) and _DAY.fullmatch(day))


def _join_versions(words: list[str]) -> list[str]:
    """3 3 → 3.3, k2 5 → k2.5, 0 6b → 0.6b. Never 3 8b, which is version 3 of size 8b."""
    joined: list[str] = []
    for word in words:
        previous = joined[-1] if joined else ""
        is_version = _VERSION_HEAD.fullmatch(previous) and _VERSION_TAIL.fullmatch(word)
        if is_version or (previous == "0" and _SUB_BILLION.fullmatch(word)):
            joined[-1] = f"{previous}.{word}"
        else:
            joined.append(word)
    return joined


# ── Author and family ───────────────────────────────────────────────────────────────────────────────────


def _author(parts: _Parts, text: str) -> str:
    if parts.author is not None:
        listed = parts.author.replace("_", "-")
        author = rules.AUTHORS.get(listed, listed)
        family = _family_author(text)
        return family if family is not None and rules.HOUSES.get(family) == author else author
    if parts.fallback not in rules.OWN_NAMES:
        named = _family_author(text) or _prefixing_author(text)
        if named is not None:
            return named
    return rules.AUTHORS.get(parts.fallback, parts.fallback)


def _family_author(text: str) -> str | None:
    for pattern, author in rules.EXCEPTIONS:
        if pattern.match(text):
            return author
    return rules.FAMILIES.get(text.partition("-")[0])


def _prefixing_author(text: str) -> str | None:
    """`zai-glm-4.7`, `meta-llama-3.1-8b`: an author's alias before a name of that author's family."""
    head, _, rest = text.partition("-")
    author = rules.AUTHORS.get(head)
    family = _family_author(rest)
    if author is None or family is None:
        return None
    return family if author in {family, rules.HOUSES.get(family)} else None


def _without_author(text: str, author: str) -> str:
    while _prefixing_author(text) == author:
        text = text.partition("-")[2]
    return text


def _family_spelling(text: str, author: str, provider: str) -> str:
    for rewrite in rules.REWRITES.get(author, ()):
        text = rewrite.pattern.sub(rewrite.replacement, text)
    if provider in rules.SERVES_NO_BASE:
        for rewrite in rules.PLAIN_FORMS.get(author, ()):
            text = rewrite.pattern.sub(rewrite.replacement, text)
    if text.startswith("claude-"):  # Anthropic alone writes its dates without dashes
        return text
    return _FULL_DATE.sub(r"\1-\2-\3", text)


_KNOWN_AUTHORS = frozenset(rules.AUTHORS) | frozenset(rules.AUTHORS.values()) | frozenset(rules.FAMILIES.values())


# ── For people ──────────────────────────────────────────────────────────────────────────────────────────


def _display_name(slug: str, variant: str, author: str, listed: str | None) -> str:
    """The listed name where it says the same as the slug, else one made from the slug."""
    suffix = "".join(f" ({word})" for word in variant.split(":") if word)
    if listed:
        own = _LISTED_AUTHOR.sub("", listed).strip().removesuffix(suffix)
        if _family_spelling(_without_author(_clean(own.lower()), author), author, "") == slug:
            return own + suffix
    dates = _DASHED_DATE.sub(r"\1\2\3", slug)
    words = (rules.WORDS.get(word) or _capitalised(word) for word in dates.split("-"))
    return _FULL_DATE.sub(r"\1-\2-\3", " ".join(words)).replace("GPT ", "GPT-") + suffix


def _capitalised(word: str) -> str:
    if _SCREAMING.fullmatch(word):
        return re.sub(r"(?<=\d)X(?=\d)", "x", word.upper())  # 8x7B
    return word[:1].upper() + word[1:]
