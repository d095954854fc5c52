"""Local stand-ins for the outside world: they speak the real protocols, keep state, and fail when told to."""

from jobs.providers.sandbox.app import create_app
from jobs.providers.sandbox.config import SandboxConfig

__all__ = ["SandboxConfig", "create_app"]
