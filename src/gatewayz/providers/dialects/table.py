"""The wire formats that gatewayz knows. To add one: its module, and one entry here."""

from collections.abc import Callable, Mapping

import aiohttp
from msgspec import Struct

from gatewayz.providers.auth import BEARER, X_API_KEY, X_GOOG_API_KEY, Auth
from gatewayz.providers.dialects.anthropic.wire import AnthropicWire
from gatewayz.providers.dialects.chat import ChatDialect
from gatewayz.providers.dialects.echo import EchoDialect
from gatewayz.providers.dialects.gemini.wire import GeminiWire
from gatewayz.providers.dialects.openai import OpenAIDialect
from gatewayz.providers.dialects.translated import TranslatedDialect
from gatewayz.providers.model import ListSource
from gatewayz.providers.shapes.table import ANTHROPIC, GEMINI, OPENAI
from gatewayz.providers.table import AFTER_ID, PAGE_TOKEN


class Dialect(Struct, frozen=True, kw_only=True):
    """A wire format, and the habits of a provider outside the table of which settings name no more than this.

    `speak`: makes what carries requests; None where only model lists are read so far.
    """

    auth: Auth = BEARER
    headers: Mapping[str, str] = {}
    listing: ListSource | None = None
    speak: Callable[[aiohttp.ClientSession], ChatDialect] | None = None


DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect(listing=ListSource(shape=OPENAI, needs_key=False), speak=OpenAIDialect),
    "anthropic": Dialect(
        auth=X_API_KEY,
        headers={"anthropic-version": "2023-06-01"},
        listing=ListSource(shape=ANTHROPIC, paging=AFTER_ID, needs_key=False),
        speak=lambda session: TranslatedDialect(session, AnthropicWire()),
    ),
    "gemini": Dialect(
        auth=X_GOOG_API_KEY,
        listing=ListSource(shape=GEMINI, paging=PAGE_TOKEN, needs_key=False),
        speak=lambda session: TranslatedDialect(session, GeminiWire()),
    ),
    "echo": Dialect(speak=lambda _session: EchoDialect()),
}
