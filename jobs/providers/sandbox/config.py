"""The sandbox's settings, read once from the SANDBOX_… variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SandboxConfigError(Exception):
    """A variable is missing or wrong; the text says which."""


@dataclass(frozen=True)
class SandboxConfig:
    """Ports, the keys that callers must show, and where events go.

    Events are posted to `webhook_base`/stripe and `webhook_base`/paystack; none are sent when it is empty.
    An SMTP port of None starts no mail server.
    """

    data_dir: Path
    stripe_key: str
    stripe_webhook_secret: str
    paystack_key: str
    twilio_sid: str
    twilio_token: str
    webhook_base: str = ""
    http_port: int = 0
    smtp_port: int | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "SandboxConfig":
        """Read the variables. Raises SandboxConfigError."""
        return cls(
            data_dir=Path(_given(env, "SANDBOX_DATA_DIR")),
            stripe_key=_given(env, "SANDBOX_STRIPE_KEY"),
            stripe_webhook_secret=_given(env, "SANDBOX_STRIPE_WEBHOOK_SECRET"),
            paystack_key=_given(env, "SANDBOX_PAYSTACK_KEY"),
            twilio_sid=_given(env, "SANDBOX_TWILIO_SID"),
            twilio_token=_given(env, "SANDBOX_TWILIO_TOKEN"),
            webhook_base=env.get("SANDBOX_WEBHOOK_BASE", "").rstrip("/"),
            http_port=_port(env, "SANDBOX_HTTP_PORT"),
            smtp_port=_port(env, "SANDBOX_SMTP_PORT") if env.get("SANDBOX_SMTP_PORT") else None,
        )


def _given(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise SandboxConfigError(f"{name} is not set")
    return value


def _port(env: Mapping[str, str], name: str) -> int:
    value = _given(env, name)
    if not value.isdecimal() or int(value) > 65535:
        raise SandboxConfigError(f"{name} must be a port number, 0 for any free one")
    return int(value)
