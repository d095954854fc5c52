"""What Prometheus reads: requests by route template, method and status class – never by organization."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Seconds from the arrival of a request to the end of its answer",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_series: dict[tuple[str, str, int], Histogram] = {}


def observe(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answer; `method` is one of METHODS or `other`, so that callers cannot make new series."""
    key = (route, method, status // 100)
    series = _series.get(key)
    if series is None:
        series = _series[key] = REQUEST_SECONDS.labels(route, method, f"{status // 100}xx")
    series.observe(seconds)


def exposition() -> tuple[bytes, str]:
    """The metrics of all processes that share PROMETHEUS_MULTIPROC_DIR, or of this one; with their content type."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
