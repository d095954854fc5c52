"""Checking a password: growing delays for guesses, equal work for known and unknown, the hash kept at today's cost."""

from dataclasses import dataclass

from api import devices
from api.address import prefix
from api.call import PublicCall
from db import accounts
from db.accounts import Account, email_key
from db.attempts import Attempts, Subject
from db.errors import Unauthorized

FREE_FOR_ACCOUNT = 3
FREE_FOR_DEVICE = 10
FREE_FOR_NETWORK = 20


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody who is about to get an account."""

    email: str
    full_name: str | None
    password_hash: str


async def authenticate(call: PublicCall, email: str, password: str) -> Account:
    """The account of an e-mail and its password.

    Raises Unauthorized INVALID_CREDENTIALS, the same and as slowly for an unknown e-mail, or TooMany
    TOO_MANY_ATTEMPTS after failures of this account (or browser, if the account knows it) or of this network.
    """
    network, person = _subjects(call, email)
    attempts = _attempts(call)
    await attempts.take(network)
    await attempts.take(person)
    async with call.resources.database.resolver(read_only=True) as conn:
        account = await accounts.find(conn, email)
    right = await call.resources.passwords.matches(password, account.password_hash if account else None)
    if account is None or not right:
        raise invalid_credentials()
    await attempts.succeeded(network, forget_failures=False)
    await attempts.succeeded(person, forget_failures=True)
    devices.remember(call, email)
    return await _at_todays_cost(call, account, password)


async def new_person(
    call: PublicCall, email: str, full_name: str | None, password: str, organization_name: str
) -> NewPerson:
    """A person with a password of her choice; raises Invalid for a weak one."""
    passwords = call.resources.passwords
    await passwords.require_strength(password, (email, full_name, organization_name))
    return NewPerson(email, full_name, await passwords.hash(password))


async def forget_failures(call: PublicCall, email: str) -> None:
    """Whoever has proven to own the mailbox need not wait for the guesses of others."""
    await _attempts(call).succeeded(_account(email), forget_failures=True)


def invalid_credentials() -> Unauthorized:
    """The one answer to a wrong e-mail and a wrong password."""
    return Unauthorized("INVALID_CREDENTIALS", "Wrong e-mail address or password")


async def _at_todays_cost(call: PublicCall, account: Account, password: str) -> Account:
    """Hash the password anew when the cost has changed since; whoever changes it at this moment wins."""
    passwords = call.resources.passwords
    if not passwords.is_outdated(account.password_hash):
        return account
    new_hash = await passwords.hash(password)
    async with call.resources.database.resolver() as conn:
        await accounts.set_password(conn, account.id, new_hash, account.password_hash)
        current = await accounts.get(conn, account.id)
    if current.password_hash != new_hash and not await passwords.matches(password, current.password_hash):
        raise invalid_credentials()
    return current


def _attempts(call: PublicCall) -> Attempts:
    return Attempts(call.resources.database, call.resources.limits.counters, call.resources.clock)


def _subjects(call: PublicCall, email: str) -> tuple[Subject, Subject]:
    """Whose attempts are counted: the network's, and the account's – or the browser's, if the account knows it."""
    network = Subject(f"network:{prefix(call.address)}", FREE_FOR_NETWORK)
    device = devices.known(call, email)
    return network, Subject(f"device:{device}", FREE_FOR_DEVICE) if device else _account(email)


def _account(email: str) -> Subject:
    return Subject(f"account:{email_key(email)}", FREE_FOR_ACCOUNT)
