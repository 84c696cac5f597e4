"""Proof that the money is right: what must be the same is summed up both ways and compared, in one snapshot.

It reads whole tables: the time it takes grows with the ledger, nothing waits for it meanwhile.
"""

from collections.abc import Mapping

from gatewayz.core.money import NanoUsd
from gatewayz.credits.model import Drift
from gatewayz.storage.database import Database


def _compared(expected: str, found: str) -> str:
    """Both are queries of `id` and `sum`."""
    return f"""
    WITH a AS ({expected}), b AS ({found})
    SELECT id AS account_id, coalesce(a.sum, 0)::bigint AS expected, coalesce(b.sum, 0)::bigint AS found
    FROM a FULL JOIN b USING (id) WHERE coalesce(a.sum, 0) <> coalesce(b.sum, 0)
    """  # noqa: S608  the queries of this module


def _book(name: str) -> str:
    return f"SELECT account_id AS id, sum(amount) FROM ledger_entries WHERE book = '{name}' GROUP BY 1"  # noqa: S608


def _balance(name: str) -> str:
    return f"SELECT account_id AS id, {name} AS sum FROM credit_balances"  # noqa: S608  a book's name


_TAKEN = """
SELECT t.account_id AS id, sum(e.amount) FROM ledger_entries e JOIN ledger_transactions t ON t.id = e.transaction_id
WHERE e.book IN ({}) GROUP BY 1
"""

PROOFS: Mapping[str, str] = {
    "each transaction sums to zero": """
        SELECT t.account_id, 0::bigint AS expected, sum(e.amount)::bigint AS found
        FROM ledger_entries e JOIN ledger_transactions t ON t.id = e.transaction_id
        GROUP BY t.id HAVING sum(e.amount) <> 0
    """,
    "purchased: the ledger and the balance": _compared(_book("purchased"), _balance("purchased")),
    "allowance: the ledger and the balance": _compared(_book("allowance"), _balance("allowance")),
    "held: the ledger and the balance": _compared(_book("held"), _balance("held")),
    "held: the tranches and the balance": _compared(
        "SELECT account_id AS id, sum(rest) FROM tranches WHERE rest > 0 GROUP BY 1", _balance("held")
    ),
    "allowance: what remains of each and the balance": _compared(
        "SELECT account_id AS id, sum(remaining) FROM allowances GROUP BY 1", _balance("allowance")
    ),
    "cost: the charges and the revenue": _compared(
        "SELECT account_id AS id, sum(cost) FROM charges GROUP BY 1", _TAKEN.format("'revenue'")
    ),
    "charged: the charges and the revenue less write-offs": _compared(
        "SELECT account_id AS id, sum(charged) FROM charges GROUP BY 1", _TAKEN.format("'revenue', 'write_offs'")
    ),
    "charged: the charges and the usage by day": _compared(
        "SELECT account_id AS id, sum(charged) FROM charges GROUP BY 1",
        "SELECT account_id AS id, sum(charged) FROM usage_by_day GROUP BY 1",
    ),
    "tranches: where they were filled from": _compared(
        "SELECT t.account_id AS id, sum(d.amount - d.released) AS sum "
        "FROM tranche_draws d JOIN tranches t ON t.id = d.tranche_id GROUP BY 1",
        "SELECT account_id AS id, sum(from_allowance + from_purchased - released) AS sum FROM tranches GROUP BY 1",
    ),
}
"""What is proven, and the query that gives where it is not so."""


class Reconciliation:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def drifts(self) -> list[Drift]:
        """Empty if every proof holds. Raises Unavailable."""
        found = []
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            for what, sql in PROOFS.items():
                for row in await connection.fetch(sql):
                    found.append(  # noqa: PERF401  one awaits, the other does not
                        Drift(
                            what=what,
                            account_id=row["account_id"],
                            expected=NanoUsd(row["expected"]),
                            found=NanoUsd(row["found"]),
                        )
                    )
        return found
