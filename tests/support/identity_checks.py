"""A second opinion on identity: plain patterns over names as listed, knowing nothing of the rules.

What they find must agree within a group of names that are said to be one model.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

from msgspec import Struct

_EDGE_BEFORE = r"(?<![a-z0-9.])"
_EDGE_AFTER = r"(?![a-z0-9])"
_SIZE = re.compile(_EDGE_BEFORE + r"(?:0[-.p])?\d+(?:[.p]\d+)?(?:x\d+)?[bt]" + _EDGE_AFTER)
_ACTIVE = re.compile(_EDGE_BEFORE + r"[ae]\d+(?:[.p]\d+)?b" + _EDGE_AFTER)
_FULL_DATE = re.compile(r"(?<!\d)20[12]\d-?[01]\d-?[0-3]\d(?!\d)")
_SHORT_DATE = re.compile(
    r"(?<![\da-z.])(?:0[1-9]|1[0-2])-?(?:[0-3]\d)(?![\da-z])|(?<![\da-z.])2[3-7](?:0[1-9]|1[0-2])(?![\da-z])"
)
_QUANTIZATION = re.compile(r"(?:nv|mx|b)?fp\d+|u?int\d+|[348]-?bit|awq|gptq|gguf|q\d_\w+")
_VARIANT = re.compile(r":([a-z]+)$")
_FORM = re.compile(
    _EDGE_BEFORE
    + r"(turbo|fast|ultrafast|highspeed|lite|mini|nano|micro|large|small|medium|pro|plus|max|flash|thinking"
    r"|reasoning|reasoner|non-reasoning|base|distill|online|coder|code(?!-llama)|embed|embedding|guard|rerank|image|audio|tts|lora"
    r"|long|basic|experimental|exp|beta|terminus|realtime|transcribe|search|speciale|customtools|next|omni|vl)"
    + _EDGE_AFTER
)


class Marks(Struct, frozen=True):
    """What a listed name says about itself in plain sight."""

    sizes: frozenset[str]
    active: frozenset[str]
    dates: frozenset[str]
    quantization: frozenset[str]
    variant: frozenset[str]
    form: frozenset[str]


def marks(native_id: str) -> Marks:
    text = re.sub(r"[_ /@]|\.(?=[a-z])", "-", native_id.lower())
    undated = _FULL_DATE.sub("", text)
    return Marks(
        sizes=frozenset(size.replace("p", ".").replace("0-", "0.") for size in _SIZE.findall(text)),
        active=frozenset(_ACTIVE.findall(text)),
        dates=frozenset(date.replace("-", "") for date in (*_FULL_DATE.findall(text), *_SHORT_DATE.findall(undated))),
        quantization=frozenset(_QUANTIZATION.findall(text)),
        variant=frozenset(_VARIANT.findall(text)),
        form=frozenset(_FORM.findall(text)),
    )


def disagreements(native_ids: Iterable[str]) -> Iterator[str]:
    """One sentence for each two names that cannot be the same model.

    Dates, quantization, variant and form words must be the same, also in being absent. A size may be left
    unsaid (`llama-4-scout`), but two sizes that are said must be the same.
    """
    for left, right in combinations(sorted(set(native_ids)), 2):
        a, b = marks(left), marks(right)
        for field in ("dates", "quantization", "variant", "form"):
            if getattr(a, field) != getattr(b, field):
                yield f"{field}: {left!r} and {right!r}"
        for field in ("sizes", "active"):
            if getattr(a, field) and getattr(b, field) and getattr(a, field) != getattr(b, field):
                yield f"{field}: {left!r} and {right!r}"


def bare(native_id: str) -> str:
    """The last path segment with everything but letters and digits taken out; equal for mere spellings."""
    return re.sub(r"[^a-z0-9]", "", native_id.lower().rpartition("/")[2])
