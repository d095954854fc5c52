"""What Prometheus reads: requests by route template, method and status class, queues and books – never by organization.

The queues' figures are the database's, so any one process shows them for all; a scrape is answered without them while
Postgres is away, and they are counted at most once in a few seconds.
"""

import os
import time
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from db import queue, reconciliation
from db.errors import DomainError
from db.pool import Database
from db.queue import Figure

REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Seconds from the arrival of a request to the end of its answer",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)

EXPLAINED = {
    "jobs_waiting": "Jobs that are due and not begun",
    "jobs_scheduled": "Jobs that wait for a later time, retries among them",
    "jobs_running": "Jobs in a worker's hands",
    "jobs_failed": "Jobs that were given up and are kept for an operator",
    "jobs_oldest_seconds": "How long the oldest due job has been waiting",
    "mails_waiting": "Mails of the product that are not sent yet",
    "messages_waiting": "Messages of customers that are not sent yet, as the workers' last round counted them",
    "billing_reconciled_at_seconds": "When the books were last compared, in seconds since 1970",
    "billing_reconciled_organizations": "Organizations that were compared then",
    "billing_reconciliation_failures": "Organizations that could not be compared then",
    "billing_differences": "Differences found then; anything but 0 wants a person",
    "billing_differences_by_finding": "Differences found then, by finding",
}
LABELS = {"billing_differences_by_finding": "finding"}
KEPT_SECONDS = 5.0

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_series: dict[tuple[str, str, int], Histogram] = {}


def observe(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answer; `method` is one of METHODS or `other`, so that callers cannot make new series."""
    key = (route, method, status // 100)
    series = _series.get(key)
    if series is None:
        series = _series[key] = REQUEST_SECONDS.labels(route, method, f"{status // 100}xx")
    series.observe(seconds)


def exposition(figures: Iterable[Figure] = ()) -> tuple[bytes, str]:
    """The metrics of all processes that share PROMETHEUS_MULTIPROC_DIR, or of this one; with their content type."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry) + generate_latest(_gauges(figures)), CONTENT_TYPE_LATEST


class QueueFigures:
    """The queues' figures, counted by Postgres for everybody who asks within a few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._figures: list[Figure] = []
        self._good_until = 0.0

    async def read(self) -> list[Figure]:
        """Depth, age and failures of the queues; nothing while Postgres is away."""
        if time.monotonic() >= self._good_until:
            try:
                async with self._database.resolver(read_only=True) as conn:
                    self._figures = await queue.figures(conn) + await reconciliation.figures(conn)
            except DomainError:
                self._figures = []
            self._good_until = time.monotonic() + KEPT_SECONDS
        return self._figures


def _gauges(figures: Iterable[Figure]) -> CollectorRegistry:
    """A gauge for each figure that is there: one that is not known is not zero."""
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for figure in figures:
        if figure.figure not in gauges:
            labels = [LABELS.get(figure.figure, "queue")] if figure.label else []
            gauges[figure.figure] = Gauge(figure.figure, EXPLAINED[figure.figure], labels, registry=registry)
        gauge = gauges[figure.figure]
        (gauge.labels(figure.label) if figure.label else gauge).set(figure.value)
    return registry
