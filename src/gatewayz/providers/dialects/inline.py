"""Pictures and files inside a request: data URLs, taken apart without decoding them."""

import re

from msgspec import Struct

_DATA_URL = re.compile(r"data:([a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+)(?:;[a-zA-Z0-9=._-]+)*?;base64,", re.ASCII)


class Inline(Struct, frozen=True):
    """`data` is base64, as it came."""

    media_type: str
    data: str


def read_data_url(url: str) -> Inline | None:
    """None where it is no data URL in base64."""
    found = _DATA_URL.match(url)
    return None if found is None else Inline(found.group(1).lower(), url[found.end() :])
