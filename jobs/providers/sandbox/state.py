"""What every handler of the sandboxes reaches through the application's state."""

from dataclasses import dataclass

from starlette.requests import Request

from jobs.providers.sandbox.config import SandboxConfig
from jobs.providers.sandbox.courier import Courier
from jobs.providers.sandbox.faults import Faults
from jobs.providers.sandbox.schedule import Schedule
from jobs.providers.sandbox.store import Store


@dataclass(frozen=True)
class Sandbox:
    """The settings, the memory, and each provider's faults and outgoing post, by its name."""

    config: SandboxConfig
    store: Store
    schedule: Schedule
    faults: dict[str, Faults]
    couriers: dict[str, Courier]


def sandbox_of(request: Request) -> Sandbox:
    """The sandbox that serves this request."""
    found: Sandbox = request.app.state.sandbox
    return found


def origin(request: Request) -> str:
    """The scheme, host and port that the caller used."""
    return f"{request.url.scheme}://{request.url.netloc}"
