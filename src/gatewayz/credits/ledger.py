"""What people do to an account's credits: grants, adjustments, refunds. Capped, with a reason, once by reference."""

from decimal import Decimal

import asyncpg
from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy
from msgspec import Struct

from gatewayz.core.errors import Conflict, ErrorKind, GatewayzError, InvalidRequest
from gatewayz.core.ids import AccountId, random_id
from gatewayz.core.money import NanoUsd, plain, usd
from gatewayz.credits.config import CreditsConfig
from gatewayz.credits.model import Balance
from gatewayz.storage.audit import Act, note
from gatewayz.storage.outbox import Outbox

_LONGEST_REASON = 500
_LONGEST_REFERENCE = 128

_ACCOUNT = "SELECT id, username FROM accounts WHERE username = $1"
_NUMBERED = "SELECT id, username FROM accounts WHERE id = $1"
_BEFORE = """
SELECT t.id, t.account_id, t.kind, t.request_id, e.amount FROM ledger_transactions t
JOIN ledger_entries e ON e.transaction_id = t.id AND e.book = 'purchased' WHERE t.reference = $1
"""
_POST = "SELECT ledger_post($1, $2, $3, $4, $5, $6, $7, request => $8)"
_REFUND = """
UPDATE charges SET refunded = refunded + $2 WHERE request_id = $1 AND refunded + $2 <= charged RETURNING true
"""
_CHARGE = """
SELECT c.account_id, a.username, c.charged - c.refunded AS left FROM charges c JOIN accounts a ON a.id = c.account_id
WHERE c.request_id = $1 FOR UPDATE OF c
"""
_BALANCE = "SELECT purchased, allowance, held FROM credit_balances WHERE account_id = $1"


class Posted(Struct, frozen=True, kw_only=True):
    """What was done, and the balance after it. `is_repeated`: it had been done before under the same reference."""

    id: int
    account: str
    kind: str
    amount: NanoUsd
    reference: str
    balance: Balance
    is_repeated: bool


class Order(Struct, frozen=True, kw_only=True):
    """Who wants it, why, and the name under which it is done once. `by`: a key's id, or the command line."""

    by: str
    reason: str
    reference: str

    @classmethod
    def of(cls, *, by: str, reason: str, reference: str | None) -> "Order":
        """Raises InvalidRequest for a reason or a reference that says nothing. None: a reference of its own."""
        if not reason.strip() or len(reason) > _LONGEST_REASON or not reason.isprintable():
            raise InvalidRequest(
                f"'reason' must be 1 to {_LONGEST_REASON} printable characters that say why", param="reason"
            )
        if reference is None:
            return cls(by=by, reason=reason, reference=random_id("ref"))
        if not 1 <= len(reference) <= _LONGEST_REFERENCE or not reference.isprintable():
            raise InvalidRequest(
                f"'reference' must be 1 to {_LONGEST_REFERENCE} printable characters", param="reference"
            )
        return cls(by=by, reason=reason, reference=reference)


class _Step(Struct, frozen=True, kw_only=True):
    account: AccountId
    name: str
    kind: str
    book: str
    amount: int
    request_id: str | None = None


class _Audited(Struct, frozen=True, kw_only=True, omit_defaults=True):
    amount_nano: int
    reference: str
    request_id: str | None = None


class Ledger:
    """Each method is one transaction with its line in the audit log; no worker's cache holds the old balance once it
    returns. Raises InvalidRequest, Conflict for a reference that did something else, and GatewayzError of the kind
    NOT_FOUND.
    """

    def __init__(self, outbox: Outbox, config: CreditsConfig) -> None:
        self._outbox = outbox
        self._config = config

    async def grant(self, account: str | AccountId, amount: NanoUsd, order: Order) -> Posted:
        """Add to what the account purchased. An account is named, or numbered."""
        nano = _capped(amount, self._config.max_grant, "MAX_GRANT")
        async with self._outbox.transaction() as connection:
            return await _by_name(connection, account, "grant", "grants", nano, order)

    async def adjust(self, account: str | AccountId, amount: NanoUsd, order: Order) -> Posted:
        """Raise what the account purchased, or lower it by an amount below zero."""
        nano = _capped(NanoUsd(abs(amount)), self._config.max_adjustment, "MAX_ADJUSTMENT")
        signed = NanoUsd(nano if amount > 0 else -nano)
        async with self._outbox.transaction() as connection:
            return await _by_name(connection, account, "adjustment", "adjustments", signed, order)

    async def refund(self, request_id: str, amount: NanoUsd | None, order: Order) -> Posted:
        """Give back what a request was charged, or a part of it; never more than that, all refunds of it together."""
        asked = None if amount is None else _capped(amount, self._config.max_refund, "MAX_REFUND")
        async with self._outbox.transaction() as connection:
            charge = await connection.fetchrow(_CHARGE, request_id) if request_id.isprintable() else None
            if charge is None:
                raise GatewayzError(
                    f"there is no settled request {request_id[:128]!r}; /v1/usage and the answers' ids name them",
                    kind=ErrorKind.NOT_FOUND,
                    param="request_id",
                )
            before = await connection.fetchrow(_BEFORE, order.reference)
            if asked is None and before is not None:
                asked = NanoUsd(before["amount"])
            nano = asked if asked is not None else self._all_left(charge["left"])
            if before is None and not await connection.fetchval(_REFUND, request_id, nano):
                raise InvalidRequest(
                    f"of what the request {request_id!r} was charged only {plain(usd(charge['left']))} US dollars are "
                    "not refunded yet",
                    param="amount",
                )
            step = _Step(
                account=charge["account_id"],
                name=charge["username"],
                kind="refund",
                book="refunds",
                amount=nano,
                request_id=request_id,
            )
            return await _post(connection, step, order)

    def _all_left(self, left: int) -> NanoUsd:
        if not left:
            raise InvalidRequest("nothing is left of what the request was charged: it is refunded", param="request_id")
        return _capped(NanoUsd(left), self._config.max_refund, "MAX_REFUND")


async def _by_name(  # noqa: PLR0917  the parts of one step
    connection: PoolConnectionProxy, account: str | AccountId, kind: str, book: str, amount: NanoUsd, order: Order
) -> Posted:
    found = None
    if not isinstance(account, str):
        found = await connection.fetchrow(_NUMBERED, account)
    elif account.isprintable():
        found = await connection.fetchrow(_ACCOUNT, account)
    if found is None:
        raise GatewayzError(f"there is no account {account!r:.200}", kind=ErrorKind.NOT_FOUND, param="account")
    step = _Step(account=found["id"], name=found["username"], kind=kind, book=book, amount=amount)
    return await _post(connection, step, order)


async def _post(connection: PoolConnectionProxy, step: _Step, order: Order) -> Posted:
    posted = await _entered(connection, step, order)
    if posted is not None:
        await _audited(connection, step, order)
    before = await connection.fetchrow(_BEFORE, order.reference)
    if posted is None and not _is_the_same(before, step):
        raise Conflict(
            f"the reference {order.reference!r} was used before for something else; take a new one", param="reference"
        )
    return Posted(
        id=before["id"],
        account=step.name,
        kind=step.kind,
        amount=NanoUsd(step.amount),
        reference=order.reference,
        balance=Balance(**await connection.fetchrow(_BALANCE, step.account)),
        is_repeated=posted is None,
    )


async def _entered(connection: PoolConnectionProxy, step: _Step, order: Order) -> int | None:
    """The transaction's id; None where the reference was posted before."""
    books, amounts = ["purchased", step.book], [step.amount, -step.amount]
    arguments = (step.account, step.kind, books, amounts, order.reason, order.by, order.reference, step.request_id)
    try:
        posted: int | None = await connection.fetchval(_POST, *arguments)
    except asyncpg.CheckViolationError as error:
        raise InvalidRequest(
            f"the account {step.name!r} has not purchased so much: what is held or was spent cannot be taken",
            param="amount",
        ) from error
    return posted


async def _audited(connection: PoolConnectionProxy, step: _Step, order: Order) -> None:
    after = _Audited(amount_nano=step.amount, reference=order.reference, request_id=step.request_id)
    act = Act(order.by, order.reason)
    await note(connection, act, f"credits.{step.kind}", f"account:{step.account}", after=after)


def _is_the_same(before: Record, step: _Step) -> bool:
    was = (before["account_id"], before["kind"], before["amount"], before["request_id"])
    return was == (step.account, step.kind, step.amount, step.request_id)


def _capped(amount: NanoUsd, most: Decimal, setting: str) -> NanoUsd:
    if amount <= 0:
        raise InvalidRequest("'amount' must be more than nothing, in US dollars such as 10 or 2.50", param="amount")
    if usd(amount) > most:
        raise InvalidRequest(
            f"'amount' can be at most {plain(most)} US dollars (GATEWAYZ_CREDITS__{setting})", param="amount"
        )
    return amount
