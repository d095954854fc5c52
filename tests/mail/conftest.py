"""A real SMTP server for each test, and mail to send to it."""

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from db.types import new_id
from jobs.providers.mail import Email, message_id
from jobs.providers.sandbox.mail import CatcherOptions, Mailbox, SmtpCatcher, start_smtp
from jobs.providers.smtp import SmtpTransport

SENDER = "MTS <no-reply@mts.example>"

Catch = Callable[..., Awaitable[SmtpCatcher]]
Connect = Callable[..., SmtpTransport]


def mail_to(recipient: str = "ada@heron.example", outbox_id: UUID | None = None, **changes: object) -> Email:
    """A mail as a job would make it."""
    parts: dict[str, object] = {
        "sender": SENDER,
        "recipient": recipient,
        "subject": "Your invoice for November",
        "text": "Hello Ada,\n\n.\n..dots\n\nBye\n",
        "html": "<p>Hello Ada</p>",
        "message_id": message_id(outbox_id or new_id(), SENDER),
    }
    return Email(**(parts | changes))  # type: ignore[arg-type]


@pytest.fixture
async def cleanup() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test opened, last first."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path / "mail")


@pytest.fixture
def catch(mailbox: Mailbox, cleanup: AsyncExitStack) -> Catch:
    """Starts a catcher: `await catch(port=0, **options)`."""

    async def start(port: int = 0, **options: object) -> SmtpCatcher:
        catcher = await start_smtp(port, mailbox, options=CatcherOptions(**options))  # type: ignore[arg-type]
        cleanup.push_async_callback(catcher.stop)
        return catcher

    return start


@pytest.fixture
def connect(cleanup: AsyncExitStack) -> Connect:
    """Makes a transport: `connect(catcher, scheme="smtp", login="", **arguments)`."""

    def transport(catcher: SmtpCatcher, scheme: str = "smtp", login: str = "", **arguments: object) -> SmtpTransport:
        url = f"{scheme}://{login}127.0.0.1:{catcher.port}"
        made = SmtpTransport(url, **({"timeout": 5} | arguments))  # type: ignore[arg-type]
        cleanup.push_async_callback(made.close)
        return made

    return transport


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail catcher")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "catcher.pem"
    pem = serialization.Encoding.PEM
    clear = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, clear)
    path.write_bytes(private + made.public_bytes(pem))
    return path


@pytest.fixture(scope="session")
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="session")
def client_tls(certificate: Path) -> ssl.SSLContext:
    """Trusts the catcher's certificate and no other."""
    return ssl.create_default_context(cafile=str(certificate))
