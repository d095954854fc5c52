"""What a worker process measures: how long jobs take and how they end, and what became of messages and mails.

Depth and age of the queues are not measured here: they are the database's, the same for all processes, and stand on the
API's `/metrics`. What a process alone knows is served by a small port of its own, where WORKER_METRICS_PORT names one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram, start_http_server

JOB_SECONDS = Histogram(
    "job_duration_seconds",
    "Seconds of one attempt of a job, by how it ended: done, error, or stopped with its worker",
    ["task", "outcome"],
    buckets=(0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600),
)
MESSAGES = Counter("messages_attempted_total", "Attempts to deliver a customer's message", ["type", "outcome"])
MAILS = Counter("mails_attempted_total", "Attempts to send a mail of the product", ["outcome"])


@contextmanager
def served(host: str, port: int) -> Iterator[None]:
    """Serve this process's metrics on a port for the block; nothing for port 0. Raises OSError when it is taken."""
    if port == 0:
        yield
        return
    server, thread = start_http_server(port, host)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
