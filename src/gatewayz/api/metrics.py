"""GET /metrics: Prometheus's text form."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from gatewayz.telemetry.fleet_metrics import FleetMetrics
from gatewayz.telemetry.siblings import Siblings


def metrics_routes(metrics: FleetMetrics, siblings: Siblings) -> APIRouter:
    router = APIRouter()

    @router.get("/metrics", include_in_schema=False)
    async def scrape() -> Response:
        return Response(await metrics.text(siblings), media_type=CONTENT_TYPE_LATEST)

    return router
