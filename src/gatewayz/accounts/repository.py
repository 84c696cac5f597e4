"""What of accounts, keys, plans and trials is read on the way of a request: the cached entities and their SQL.

Rows are written in key_rows.py, account_rows.py and plan_rows.py.
"""

from asyncpg import Record
from msgspec.structs import replace

from gatewayz.accounts.limit_names import limits_of, named
from gatewayz.accounts.model import Account, Plan, Principal, RateLimits, SealedKey, SealedKeys, Trial
from gatewayz.cache.entity import Entity, Policy
from gatewayz.cache.tables import Hop, Table
from gatewayz.core.ids import AccountId, ApiKeyId, KeyDigest
from gatewayz.core.limit import Limit, Subject
from gatewayz.core.money import NanoUsd
from gatewayz.storage.database import Database

MINUTE = 60

# Either secret of a key finds it: the present one, and for a while after a rotation the former one.
_PRINCIPAL = """
SELECT k.id, k.account_id, k.scopes, k.environment, k.models, k.networks, k.pays_unknown_prices,
       k.budget_nano IS NOT NULL AS has_budget,
       EXISTS (SELECT FROM provider_keys o WHERE o.account_id = k.account_id) AS has_own_keys,
       extract(epoch FROM least(k.expires_at, CASE WHEN k.digest <> $1 THEN k.former_expires_at END))::float8
           AS expires_at,
       k.limits, a.limits AS account_limits, a.plan_id, extract(epoch FROM a.plan_ends_at)::float8 AS plan_ends_at,
       p.limits AS plan_limits, a.next_plan_id, n.limits AS next_limits
FROM api_keys k JOIN accounts a ON a.id = k.account_id
LEFT JOIN plans p ON p.id = a.plan_id LEFT JOIN plans n ON n.id = a.next_plan_id
WHERE (k.digest = $1 OR k.former_digest = $1) AND k.revoked_at IS NULL AND a.is_active
"""
_RATE_LIMITS = """
SELECT k.limits, a.limits AS account_limits, extract(epoch FROM a.plan_ends_at)::float8 AS plan_ends_at,
       p.limits AS plan_limits, n.limits AS next_limits
FROM api_keys k JOIN accounts a ON a.id = k.account_id
LEFT JOIN plans p ON p.id = a.plan_id LEFT JOIN plans n ON n.id = a.next_plan_id
WHERE k.id = $1
"""
ACCOUNT_COLUMNS = """
SELECT a.id, a.username, a.is_active, a.plan_id AS plan, extract(epoch FROM a.plan_ends_at)::float8 AS plan_ends_at,
       a.next_plan_id AS next_plan, a.limits, a.identity_issuer,
       extract(epoch FROM a.created_at)::float8 AS created_at
FROM accounts a
"""
PLAN_COLUMNS = """
SELECT id, name, allowance_nano AS allowance, limits, extract(epoch FROM created_at)::float8 AS created_at FROM plans
"""
TRIAL_COLUMNS = """
SELECT account_id, allowance_nano AS allowance, extract(epoch FROM started_at)::float8 AS started_at,
       extract(epoch FROM ends_at)::float8 AS ends_at FROM trials
"""
_SEALED_KEYS = """
SELECT id, provider, last_four, sealed_by, sealed FROM provider_keys WHERE account_id = $1 ORDER BY provider
"""


async def find_principal(database: Database, digest: KeyDigest) -> Principal | None:
    row = await database.fetch_row(_PRINCIPAL, digest)
    if row is None:
        return None
    principal = Principal(
        key_id=ApiKeyId(row["id"]),
        account_id=AccountId(row["account_id"]),
        scopes=tuple(row["scopes"]),
        expires_at=row["expires_at"],
        environment=row["environment"],
        models=tuple(row["models"]),
        networks=tuple(map(str, row["networks"])),
        limits=_limits(row, "plan_limits"),
        has_budget=row["has_budget"],
        pays_unknown_prices=row["pays_unknown_prices"],
        has_own_keys=row["has_own_keys"],
        plan=row["plan_id"],
    )
    if row["plan_ends_at"] is None:
        return principal
    afterwards = replace(principal, limits=_limits(row, "next_limits"), plan=row["next_plan_id"])
    return replace(principal, plan_ends_at=row["plan_ends_at"], afterwards=afterwards)


async def find_rate_limits(database: Database, key_id: str) -> RateLimits | None:
    row = await database.fetch_row(_RATE_LIMITS, key_id)
    if row is None:
        return None
    return RateLimits(_limits(row, "plan_limits"), row["plan_ends_at"], _limits(row, "next_limits"))


def _limits(row: Record, plan: str) -> tuple[Limit, ...]:
    of_account = limits_of(Subject.ACCOUNT, named(row[plan]), named(row["account_limits"]))
    return (*limits_of(Subject.KEY, named(row["limits"])), *of_account)


async def find_account(database: Database, account_id: str) -> Account | None:
    return account_of(await database.fetch_row(f"{ACCOUNT_COLUMNS} WHERE a.id = $1", int(account_id)))


async def find_by_username(database: Database, username: str) -> Account | None:
    return account_of(await database.fetch_row(f"{ACCOUNT_COLUMNS} WHERE a.username = $1", username))


async def find_by_identity(database: Database, identity: str) -> Account | None:
    return account_of(await database.fetch_row(f"{ACCOUNT_COLUMNS} WHERE a.identity = $1", identity))


async def find_plan(database: Database, plan_id: str) -> Plan | None:
    return plan_of(await database.fetch_row(f"{PLAN_COLUMNS} WHERE id = $1", plan_id))


async def find_trial(database: Database, account_id: str) -> Trial | None:
    return trial_of(await database.fetch_row(f"{TRIAL_COLUMNS} WHERE account_id = $1", int(account_id)))


async def find_provider_keys(database: Database, account_id: str) -> SealedKeys:
    return SealedKeys(tuple(map(sealed_key_of, await database.fetch(_SEALED_KEYS, int(account_id)))))


def account_of(row: Record | None) -> Account | None:
    return None if row is None else Account(**{**dict(row), "limits": named(row["limits"])})


def plan_of(row: Record | None) -> Plan | None:
    if row is None:
        return None
    return Plan(**{**dict(row), "limits": named(row["limits"]), "allowance": NanoUsd(row["allowance"])})


def trial_of(row: Record | None) -> Trial | None:
    return None if row is None else Trial(**dict(row))


def sealed_key_of(row: Record) -> SealedKey:
    return SealedKey(**{name: row[name] for name in SealedKey.__struct_fields__})


_UNSEEN_OF_KEYS = ("name", "last_four", "created_at", "budget_period")
_UNSEEN_OF_ACCOUNTS = ("username", "created_at", "identity_issuer", "identity_digest", "identity")
# A plan with more than a few keys concerns so many of them that naming each is dearer than to name all.
_ANY_PLAN = Table("plans", ignoring=("name", "allowance_nano", "created_at"))

API_KEY: Entity[KeyDigest, Principal] = Entity(
    name="auth:key",
    value=Principal,
    load=find_principal,
    policy=Policy(fresh=5 * MINUTE, stale=0, absent=10),
    filled_from=(
        Table("api_keys", key="digest", ignoring=_UNSEEN_OF_KEYS),
        Table("api_keys", key="former_digest", ignoring=_UNSEEN_OF_KEYS),
        *(
            Table(
                "accounts",
                key="id",
                via=(Hop(table="api_keys", match="account_id", take=secret),),
                ignoring=_UNSEEN_OF_ACCOUNTS,
            )
            for secret in ("digest", "former_digest")
        ),
        *(
            Table(
                "provider_keys",
                key="account_id",
                via=(Hop(table="api_keys", match="account_id", take=secret),),
                ignoring=("id", "last_four", "sealed_by", "sealed", "created_at"),
            )
            for secret in ("digest", "former_digest")
        ),
        _ANY_PLAN,
    ),
)

_ACCOUNT_TABLE_IGNORES = ("created_at",)
ACCOUNT: Entity[str, Account] = Entity(
    name="auth:account",
    value=Account,
    load=find_account,
    policy=Policy(fresh=5 * MINUTE, stale=0, absent=10),
    filled_from=(Table("accounts", key="id", ignoring=_ACCOUNT_TABLE_IGNORES),),
)
USERNAME: Entity[str, Account] = Entity(
    name="auth:username",
    value=Account,
    load=find_by_username,
    policy=Policy(fresh=5 * MINUTE, stale=0, absent=10),
    filled_from=(Table("accounts", key="username", ignoring=_ACCOUNT_TABLE_IGNORES),),
)
IDENTITY: Entity[str, Account] = Entity(
    name="auth:identity",
    value=Account,
    load=find_by_identity,
    policy=Policy(fresh=5 * MINUTE, stale=0, absent=10),
    filled_from=(Table("accounts", key="identity", ignoring=_ACCOUNT_TABLE_IGNORES),),
)
PLAN: Entity[str, Plan] = Entity(
    name="db:plan",
    value=Plan,
    load=find_plan,
    policy=Policy(fresh=10 * MINUTE, stale=0, absent=10),
    filled_from=(Table("plans", key="id"),),
)
TRIAL: Entity[str, Trial] = Entity(
    name="db:trial",
    value=Trial,
    load=find_trial,
    policy=Policy(fresh=5 * MINUTE, stale=0, absent=10),
    filled_from=(Table("trials", key="account_id"),),
)
RATE_LIMIT: Entity[str, RateLimits] = Entity(
    name="db:rate_limit",
    value=RateLimits,
    load=find_rate_limits,
    policy=Policy(fresh=10 * MINUTE, stale=0, absent=10),
    filled_from=(
        # The key's id stays in the row as it was and as it is: only a change of its limits or account concerns them.
        Table(
            "api_keys",
            key="id",
            ignoring=(
                *_UNSEEN_OF_KEYS,
                *("digest", "scopes", "expires_at", "revoked_at", "environment", "models", "networks", "budget_nano"),
                *("pays_unknown_prices", "former_digest", "former_expires_at"),
            ),
        ),
        Table(
            "accounts",
            key="id",
            via=(Hop(table="api_keys", match="account_id", take="id"),),
            ignoring=(*_UNSEEN_OF_ACCOUNTS, "is_active"),
        ),
        _ANY_PLAN,
    ),
)

# Sealed as in the database, in Redis as in memory: who can read either has what the database shows, and no key.
PROVIDER_KEYS: Entity[str, SealedKeys] = Entity(
    name="auth:provider_keys",
    value=SealedKeys,
    load=find_provider_keys,
    is_secret=True,
    policy=Policy(fresh=5 * MINUTE, stale=0, absent=10),
    filled_from=(Table("provider_keys", key="account_id", ignoring=("created_at",)),),
)
"""By the account's id as text."""

ENTITIES = (API_KEY, ACCOUNT, USERNAME, IDENTITY, PLAN, TRIAL, RATE_LIMIT, PROVIDER_KEYS)
