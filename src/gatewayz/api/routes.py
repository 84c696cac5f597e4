"""Every router of the control plane, in one list. The catalog's routes have theirs in catalog.py."""

from collections.abc import Collection, Mapping

from fastapi import APIRouter
from msgspec import Struct

from gatewayz.accounts.accounts import Accounts
from gatewayz.accounts.effective_limits import EffectiveLimits
from gatewayz.accounts.keys import ApiKeys
from gatewayz.accounts.plans import Plans
from gatewayz.accounts.provider_keys import ProviderKeys
from gatewayz.api.admin.accounts import account_routes
from gatewayz.api.admin.audit import audit_routes
from gatewayz.api.admin.credits import credit_routes
from gatewayz.api.admin.jobs import job_routes, sync_routes
from gatewayz.api.admin.keys import key_routes
from gatewayz.api.admin.limits import limit_routes
from gatewayz.api.admin.plans import plan_routes
from gatewayz.api.admin.provider_keys import provider_key_routes
from gatewayz.api.cache_admin import explaining_routes, stats_routes
from gatewayz.api.cache_clearing import clearing_routes
from gatewayz.api.cache_status import status_routes
from gatewayz.api.cache_warming import warming_routes
from gatewayz.api.callers import Callers
from gatewayz.api.credits import own_credit_routes
from gatewayz.api.health import Check, health_routes
from gatewayz.api.health_reports import health_report_routes
from gatewayz.api.metrics import metrics_routes
from gatewayz.api.own_key import own_key_routes
from gatewayz.api.own_provider_keys import own_provider_key_routes
from gatewayz.cache.cache import Cache
from gatewayz.credits.ledger import Ledger
from gatewayz.credits.repository import CreditsRepository
from gatewayz.jobs.repository import JobsRepository
from gatewayz.storage.audit import AuditLog
from gatewayz.storage.outbox import Outbox
from gatewayz.telemetry.fleet_metrics import FleetMetrics
from gatewayz.telemetry.siblings import Siblings


class ControlParts(Struct, frozen=True, kw_only=True):
    """What the control plane's routers are handed."""

    cache: Cache
    callers: Callers
    keys: ApiKeys
    accounts: Accounts
    plans: Plans
    provider_keys: ProviderKeys
    effective_limits: EffectiveLimits
    audit: AuditLog
    jobs: JobsRepository
    credits: CreditsRepository
    ledger: Ledger
    providers: Collection[str]
    outbox: Outbox
    metrics: FleetMetrics
    siblings: Siblings
    checks: Mapping[str, Check] = {}
    required_checks: frozenset[str] = frozenset()


def control_routers(parts: ControlParts) -> list[APIRouter]:
    callers = parts.callers
    return [
        health_routes(parts.checks, parts.required_checks),
        health_report_routes(parts.cache, callers),
        metrics_routes(parts.metrics, parts.siblings),
        own_key_routes(callers, parts.keys, parts.accounts, parts.plans),
        own_provider_key_routes(callers, parts.provider_keys),
        account_routes(callers, parts.accounts),
        provider_key_routes(callers, parts.provider_keys),
        key_routes(callers, parts.keys),
        plan_routes(callers, parts.plans),
        limit_routes(callers, parts.accounts, parts.keys, parts.effective_limits),
        audit_routes(callers, parts.audit),
        job_routes(callers, parts.jobs),
        sync_routes(callers, parts.jobs),
        own_credit_routes(callers, parts.cache, parts.credits),
        credit_routes(callers, parts.credits, parts.ledger),
        explaining_routes(parts.cache, callers),
        stats_routes(callers, parts.cache, parts.metrics, parts.siblings),
        status_routes(callers, parts.siblings, parts.checks.get("redis"), parts.outbox),
        clearing_routes(callers, parts.cache, parts.audit, parts.providers),
        warming_routes(callers, parts.cache, parts.audit),
    ]
