"""Lists a page at a time, and ids in paths."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Path, Query

from gatewayz.api.admin.forms import Listed
from gatewayz.core.page import Page

T = TypeVar("T")
F = TypeVar("F")

Limit = Annotated[int, Query(ge=1, le=1000, description="How many to return.")]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="How many to skip.")]
AccountNumber = Annotated[int, Path(ge=1, lt=2**63, description="The account's id.")]
KeyName = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", description="The key's id, key_…, never the key.")]
PlanName = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9_-]{0,63}$", description="The plan's id.")]
ProviderName = Annotated[str, Path(pattern="^[a-z0-9-]{1,63}$", description="The provider's slug.")]

DEFAULT_LIMIT = 100


def listed(page: Page[T], form: Callable[[T], F], limit: int, offset: int) -> Listed[F]:
    return Listed(data=[form(each) for each in page.items], total=page.total, limit=limit, offset=offset)
