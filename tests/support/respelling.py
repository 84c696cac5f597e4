"""The same JSON written in another way."""

import json
import random
from typing import Any


def respelled(value: Any, rng: random.Random) -> str:  # noqa: ANN401  any JSON
    """A text with the same value: other member order, white space, escapes and ways to write a number."""
    if isinstance(value, dict):
        members = [f"{respelled(name, rng)}{_space(rng)}:{respelled(each, rng)}" for name, each in value.items()]
        rng.shuffle(members)
        return _space(rng) + "{" + ",".join(members) + "}" + _space(rng)
    if isinstance(value, list):
        return "[" + f"{_space(rng)},".join(respelled(each, rng) for each in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(_sign(each, rng) for each in value) + '"'
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return _number(value, rng)


def _space(rng: random.Random) -> str:
    return rng.choice(["", "", " ", "\n", "\t ", "\r\n"])


def _sign(sign: str, rng: random.Random) -> str:
    if sign in '"\\' or sign < " " or rng.random() < 0.3:
        units = sign.encode("utf-16-be")
        return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))
    return sign


def _number(value: float, rng: random.Random) -> str:
    spellings = [json.dumps(value)]
    if isinstance(value, int) and abs(value) < 2**53:
        spellings += [f"{value}.0", f"{value}e0", f"{value}.00E+0"]
        if value == 0:
            spellings.append("-0")
    elif isinstance(value, float):
        spellings.append(f"{value!r}e0" if "e" not in repr(value) else repr(value).upper())
    return rng.choice(spellings)
