"""The secrets of one `mts dev`: made once at random and kept in its data folder."""

import secrets
from pathlib import Path

from cli.private_files import read_private, write_private
from db.bootstrap import LOGIN_ROLES


def kept_secrets(data_dir: Path) -> dict[str, str]:
    """Every secret by name, read from DATA_DIR/secrets.json; what is missing there is made and added."""
    path = data_dir / "secrets.json"
    known = read_private(path) or {}
    wanted = _fresh()
    if not wanted.keys() <= known.keys():
        known = wanted | known
        write_private(path, known)
    return known


def role_passwords(known: dict[str, str]) -> dict[str, str]:
    """The passwords of the roles that log in, by role."""
    return {role: known[f"{role}_password"] for role in LOGIN_ROLES}


def _fresh() -> dict[str, str]:
    made = {f"{role}_password": secrets.token_hex(24) for role in LOGIN_ROLES}
    return made | {
        "jwt_secret": secrets.token_hex(32),
        "stripe_secret_key": f"sk_test_{secrets.token_hex(24)}",
        "stripe_webhook_secret": f"whsec_{secrets.token_hex(24)}",
        "paystack_secret_key": f"sk_test_{secrets.token_hex(24)}",
        "twilio_account_sid": f"AC{secrets.token_hex(16)}",
        "twilio_auth_token": secrets.token_hex(16),
    }
