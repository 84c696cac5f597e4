"""What is told of health, as cached entities: whoever asks, it is put together once for all workers."""

from typing import Any

from gatewayz.cache.entity import Entity, Policy
from gatewayz.health.reports import Reports
from gatewayz.health.told import (
    Dashboard,
    GatewaysHealth,
    ModelsHealth,
    ProvidersHealth,
    Summary,
    SystemHealth,
)

_STALE = 600.0


async def load_system(reports: Reports, _key: tuple[()]) -> SystemHealth:
    return await reports.system()


async def load_providers(reports: Reports, _key: tuple[()]) -> ProvidersHealth:
    return await reports.providers()


async def load_models(reports: Reports, _key: tuple[()]) -> ModelsHealth:
    return await reports.models()


async def load_gateways(reports: Reports, _key: tuple[()]) -> GatewaysHealth:
    return await reports.gateways()


async def load_summary(reports: Reports, _key: tuple[()]) -> Summary:
    return await reports.summary()


async def load_dashboard(reports: Reports, _key: tuple[()]) -> Dashboard:
    return await reports.dashboard()


SYSTEM: Entity[tuple[()], SystemHealth] = Entity(
    name="health:system",
    value=SystemHealth,
    load=load_system,
    policy=Policy(fresh=60, stale=_STALE),
    is_moving=True,
)
PROVIDERS: Entity[tuple[()], ProvidersHealth] = Entity(
    name="health:providers",
    value=ProvidersHealth,
    load=load_providers,
    policy=Policy(fresh=60, stale=_STALE),
    is_moving=True,
)
MODELS: Entity[tuple[()], ModelsHealth] = Entity(
    name="health:models",
    value=ModelsHealth,
    load=load_models,
    policy=Policy(fresh=120, stale=_STALE, l1_max=120),
    is_moving=True,
)
GATEWAYS: Entity[tuple[()], GatewaysHealth] = Entity(
    name="health:gateways",
    value=GatewaysHealth,
    load=load_gateways,
    policy=Policy(fresh=60, stale=_STALE),
    is_moving=True,
)
SUMMARY: Entity[tuple[()], Summary] = Entity(
    name="health:summary",
    value=Summary,
    load=load_summary,
    policy=Policy(fresh=60, stale=_STALE),
    is_moving=True,
)
DASHBOARD: Entity[tuple[()], Dashboard] = Entity(
    name="health:dashboard",
    value=Dashboard,
    load=load_dashboard,
    policy=Policy(fresh=30, stale=_STALE),
    is_moving=True,
)

ENTITIES: tuple[Entity[Any, Any], ...] = (SYSTEM, PROVIDERS, MODELS, GATEWAYS, SUMMARY, DASHBOARD)
