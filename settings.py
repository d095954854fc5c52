"""Every setting of every process, read once from the environment, typed and checked at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

ROOT = Path(__file__).resolve().parent


def _words(value: object) -> object:
    """Split a comma-separated environment value; lists pass unchanged."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _scheme(*schemes: str) -> AfterValidator:
    """A secret URL of one of these schemes, with a host."""

    def check(value: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(value.get_secret_value())
            fits = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(f"Must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    return AfterValidator(check)


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
PostgresUrl = Annotated[SecretStr, _scheme("postgresql", "postgres")]
RedisUrl = Annotated[SecretStr, _scheme("redis", "rediss")]
SmtpUrl = Annotated[SecretStr, _scheme("smtp", "smtp+starttls", "smtps")]
Url = Annotated[str, Field(pattern=r"^https?://[^/\s]+(/\S*)?$")]


class SettingsError(Exception):
    """One or more settings are missing or wrong; the text names each with what is expected."""


class Settings(BaseModel):
    """The environment of one process. Field names are the variables' names in lower case."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    environment: Literal["dev", "production"] = Field(
        "production", description="`dev` allows plain-HTTP cookies and the mail preview"
    )
    database_url: PostgresUrl = Field(
        description="postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE of this process's own role"
    )
    replica_url: PostgresUrl | None = Field(
        None, description="the same role's URL of a streaming standby, for large reads; without it the primary has them"
    )
    replica_lag_seconds: int = Field(
        10, ge=2, le=3600, description="seconds that the standby may be behind before nobody reads there"
    )
    redis_url: RedisUrl = Field(description="redis://[:PASSWORD@]HOST:PORT[/DB] of a Redis 6.2+ compatible server")
    smtp_url: SmtpUrl = Field(description="smtp://, smtp+starttls:// or smtps://[USER:PASSWORD@]HOST:PORT")
    jwt_secret: SecretStr = Field(min_length=32, description="secret of at least 32 characters that signs sessions")
    jwt_keys: SecretStr | None = Field(
        None, description="JWK set of ES256 keys, or a file with it: the first signs sessions, all verify them"
    )
    stripe_secret_key: SecretStr | None = Field(None, description="sk_… of Stripe; without it Stripe is not offered")
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="whsec_… of the Stripe endpoint; without it the endpoint is 404"
    )
    stripe_api_base: Url = Field("https://api.stripe.com", description="where Stripe's API is spoken")
    paystack_secret_key: SecretStr | None = Field(
        None, description="sk_… of Paystack; without it Paystack is not offered"
    )
    paystack_api_base: Url = Field("https://api.paystack.co", description="where Paystack's API is spoken")
    paystack_quote: str | None = Field(
        None,
        pattern=r"^(GHS|KES|NGN|ZAR)=\d{1,7}(\.\d{1,6})?$",
        description="currency and rate, such as NGN=1600: Paystack charges in it, so many units a dollar; else in USD",
    )
    twilio_account_sid: str | None = Field(None, description="AC… of Twilio; without it SMS messages are refused")
    twilio_auth_token: SecretStr | None = Field(None, description="the account's token: signs requests and call-backs")
    twilio_api_base: Url = Field("https://api.twilio.com", description="where Twilio's API is spoken")
    twilio_from: str = Field("+15005550006", pattern=r"^\+[1-9]\d{6,14}$", description="E.164 sender of SMS messages")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=1, le=65535, description="port to listen on")
    workers: int = Field(1, ge=1, le=64, description="HTTP processes of `mts serve`")
    base_url: Url = Field(
        "http://127.0.0.1:8080", description="public address; every link and return URL is made from it"
    )
    mail_from: str = Field("MTS <no-reply@localhost.localdomain>", description="sender of the product's own mail")
    mail_per_second: float | None = Field(
        None, gt=0, le=10_000, description="mails that one worker hands over a second at most; without it no limit"
    )
    dkim_selector: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{1,63}$", description="name of the DKIM key in DNS; without it no signature"
    )
    dkim_domain: str | None = Field(
        None, pattern=r"^[A-Za-z0-9.-]{3,253}$", description="domain that signs; without it that of MAIL_FROM"
    )
    dkim_key_file: Path | None = Field(None, description="file with the RSA private key (PEM) that signs")
    bounce_domain: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.-]{3,190}$",
        description="domain whose mail is handed to /webhooks/mail: each mail gets a return address of its own in it",
    )
    mail_webhook_secret: SecretStr | None = Field(
        None, min_length=16, description="secret that signs reports to /webhooks/mail; without it the endpoint is 404"
    )
    cors_origins: Words = Field((), description="comma-separated origins that browsers may call from")
    trusted_proxies: Words = Field((), description="comma-separated networks whose X-Forwarded-For is believed")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    data_dir: Path = Field(ROOT / ".data", description="where `mts dev` keeps its servers' data")
    pool_size: int = Field(8, ge=1, le=64, description="Postgres connections of one process")
    database_statement_cache: int = Field(
        100, ge=0, le=10_000, description="prepared statements kept by a connection; 0 behind a PgBouncer before 1.21"
    )
    worker_concurrency: str = Field(
        "mail=6,messages=2,billing=4,maintenance=2",
        pattern=r"^(mail|messages|billing|maintenance)=[1-9]\d?(,(mail|messages|billing|maintenance)=[1-9]\d?)*$",
        description="jobs that one worker runs at once, by queue; a queue left out is left to other workers",
    )
    worker_stop_seconds: int = Field(
        15, ge=0, le=600, description="seconds that jobs under way get when a worker stops; what is left goes back"
    )
    worker_metrics_port: int = Field(
        0, ge=0, le=65535, description="port of a worker's own metrics on HOST; 0 for none"
    )
    bcrypt_rounds: int = Field(12, ge=4, le=16, description="cost of password hashes; 12 is about 200 ms")
    api_key_pepper: SecretStr | None = Field(
        None,
        min_length=32,
        description="secret that API keys are hashed with; without it SHA-256 alone. Changing it ends every key",
    )
    usage_kept_months: int | None = Field(
        None,
        ge=3,
        le=120,
        description="whole months of single usage records kept; without it all. Their sums stay for ever",
    )
    session_days: int = Field(7, ge=1, le=90, description="life of a session")
    billing_grace_minutes: int = Field(
        10, ge=0, le=1440, description="minutes after the end of a month in which late requests are still counted in it"
    )
    seller_name: str = Field("MTS", min_length=1, max_length=120, description="who sells, as invoices print it")
    seller_address: str | None = Field(
        None, max_length=500, description="the seller's address on invoices, a semicolon between its lines"
    )
    seller_tax_number: str | None = Field(None, max_length=60, description="the seller's tax number on invoices")
    invoice_due_days: int = Field(14, ge=0, le=90, description="days from issue to due date")
    suspend_after_days: int = Field(
        30, ge=1, le=3650, description="days after the due date of an unpaid invoice that API keys are suspended"
    )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings from `env`; an empty value counts as not given.

        Raises SettingsError naming every wrong variable and what is expected of it, never its value.
        """
        given: dict[str, Any] = {name.lower(): value for name, value in env.items() if value != ""}
        try:
            return cls.model_validate({name: given[name] for name in cls.model_fields if name in given})
        except ValidationError as error:
            raise SettingsError(
                "\n".join(_sentence(cls, problem["loc"][0], problem["msg"]) for problem in error.errors())
            ) from None


def _sentence(model: type[BaseModel], name: int | str, reason: str) -> str:
    field = model.model_fields[str(name)]
    expected = f" Expected: {field.description}." if field.description else ""
    return f"{str(name).upper()}: {reason}.{expected}"
