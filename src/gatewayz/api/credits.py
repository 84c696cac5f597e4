"""What an account has, has used, and what one of its requests cost. For keys of the account."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from gatewayz.accounts.scopes import ACCOUNT
from gatewayz.api.admin.forms import Listed
from gatewayz.api.admin.paging import DEFAULT_LIMIT, Limit, Offset, listed
from gatewayz.api.admin.route import MISSING, caller_of, keyed_router
from gatewayz.api.callers import Callers
from gatewayz.api.credit_forms import (
    BalanceForm,
    GenerationForm,
    UsageForm,
    balance_form,
    generation_form,
    usage_form,
)
from gatewayz.cache.cache import Cache
from gatewayz.core.errors import ErrorKind, GatewayzError, InvalidRequest
from gatewayz.core.ids import ApiKeyId
from gatewayz.core.money import NanoUsd
from gatewayz.credits.model import Balance
from gatewayz.credits.repository import BALANCE, BY, CreditsRepository, UsageAsked

MOST_DAYS = 3660
SUMS = ("requests", "cache_hits", "prompt_tokens", "completion_tokens", "cached_tokens", "cost", "charged")
"""What usage sums up, in the order of its columns."""

_DAYS = 30
_NOTHING = Balance(purchased=NanoUsd(0), allowance=NanoUsd(0), held=NanoUsd(0))
_ONE = f"({'|'.join(BY)})"
_AS_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "As JSON, or every row as CSV."}
}
First = Annotated[date | None, Query(description="The first day in UTC; 30 days up to the last by default.")]
Last = Annotated[date | None, Query(description="The last day in UTC; today by default.")]
By = Annotated[
    str,
    Query(pattern=f"^({_ONE}(,{_ONE})*)?$", description="What is told apart: some of day,key,model,provider."),
]
KeyId = Annotated[
    str | None, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="Only requests of the key with this id.")
]
Format = Annotated[
    Literal["json", "csv"], Query(description="csv gives every row at once; so does the header Accept: text/csv.")
]
RequestId = Annotated[str, Path(max_length=200, description="The request's id.")]


def own_credit_routes(callers: Callers, cache: Cache, repository: CreditsRepository) -> APIRouter:
    router = keyed_router(callers, ACCOUNT, tag="account")

    @router.get("/v1/credits")
    async def own_credits(request: Request) -> BalanceForm:
        """What the account of the key can spend and what is held for its requests, in US dollars."""
        balance = await cache.get(BALANCE, str(caller_of(request).account_id))
        return balance_form(balance or _NOTHING)

    @router.get("/v1/usage", response_model=Listed[UsageForm], response_model_exclude_none=True, responses=_AS_CSV)
    async def own_usage(  # noqa: PLR0917  the query's parameters
        request: Request,
        first: First = None,
        last: Last = None,
        by: By = "day,model",
        key: KeyId = None,
        format: Format = "json",  # noqa: A002  the parameter's public name
        limit: Limit = DEFAULT_LIMIT,
        offset: Offset = 0,
    ) -> Listed[UsageForm] | Response:
        """What the account of the key used and what that cost, as JSON or CSV. A request shows up some moments after it
        has ended.
        """
        first, last = _days(first, last)
        asked = UsageAsked(
            account=caller_of(request).account_id,
            first=first,
            last=last,
            by=tuple(dict.fromkeys(each for each in by.split(",") if each)),
            key=None if key is None else ApiKeyId(key),
        )
        if format == "csv" or "text/csv" in request.headers.get("accept", ""):
            return _csv(asked, repository)
        return listed(await repository.list_usage(asked, limit, offset), usage_form, limit, offset)

    @router.get("/v1/generation/{id}", responses=MISSING)
    async def own_generation(request: Request, id: RequestId) -> GenerationForm:  # noqa: A002  the public name
        """What a request of the key's account cost and where it ran."""
        found = await repository.find_generation(id, caller_of(request).account_id) if id.isprintable() else None
        if found is None:
            raise GatewayzError(
                f"this account has no settled request {id[:128]!r}; one that has just ended is there in a moment",
                kind=ErrorKind.NOT_FOUND,
                param="id",
            )
        return generation_form(found)

    return router


def _days(first: date | None, last: date | None) -> tuple[date, date]:
    last = last or datetime.now(UTC).date()
    if first is None:
        first = last - min(timedelta(days=_DAYS - 1), last - date.min)
    if not 0 <= (last - first).days < MOST_DAYS:
        raise InvalidRequest(
            f"'first' must be a day up to 'last' and less than {MOST_DAYS} days before it, not {first.isoformat()!r}",
            param="first",
        )
    return first, last


def _csv(asked: UsageAsked, repository: CreditsRepository) -> Response:
    columns = (*asked.by, *SUMS)

    async def lines() -> AsyncIterator[str]:
        yield _csv_line(columns)
        async for usage in repository.every_usage(asked):
            form = usage_form(usage)
            yield _csv_line(getattr(form, column) for column in columns)

    return StreamingResponse(
        lines(), media_type="text/csv", headers={"content-disposition": 'attachment; filename="usage.csv"'}
    )


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()
