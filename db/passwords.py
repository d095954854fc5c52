"""Passwords: slow hashes made on threads of their own, and the refusal of those that are guessed first."""

import asyncio
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TypeVar

import bcrypt
from zxcvbn import zxcvbn

from db.errors import Invalid, Unavailable

THREADS = 2
SHORTEST = 8  # characters of any Unicode
WAITING = 32  # at 200 ms each on two threads: nobody waits longer than about three seconds
_WEAK = 1  # zxcvbn's score: below a hundred million guesses
_JUDGED_LENGTH = 72  # characters; what follows can only make a password stronger
_SALT_AND_DIGEST = "N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords at one cost; bcrypt releases the interpreter's lock, so two threads use two cores."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._under_way = 0
        # Checked in place of an unknown person's hash, so that the answer takes as long.
        self._nobody = f"$2b${rounds:02d}${_SALT_AND_DIGEST}"

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The hash to keep. Raises Unavailable when too many are waiting."""
        return await self._run(lambda: bcrypt.hashpw(_material(password), bcrypt.gensalt(self._rounds)).decode())

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one of the stored hash; None costs the same and is always False."""
        right = await self._run(lambda: bcrypt.checkpw(_material(password), (stored or self._nobody).encode()))
        return right and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost than today's."""
        return not stored.startswith(f"$2b${self._rounds:02d}$")

    async def require_strength(self, password: str, known: Iterable[str | None], field: str = "password") -> None:
        """Raises Invalid naming `field` for a password that is guessed first; `known` is what a guesser may know."""
        words = [word for text in known if text for word in _words(text)]
        reason = await self._run(lambda: _weakness(password, words))
        if reason:
            raise Invalid.field(field, reason)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= THREADS + WAITING:
            raise Unavailable("Too many people are logging in at this moment; try again shortly.")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def _material(password: str) -> bytes:
    """What bcrypt gets: it cuts after 72 bytes and stops at NUL, so a digest in Base64 of the whole password."""
    return b64encode(sha256(unicodedata.normalize("NFKC", password).encode()).digest())


def _weakness(password: str, words: list[str]) -> str | None:
    if len(password) < SHORTEST:
        return f"Must have at least {SHORTEST} characters."
    judged = zxcvbn(unicodedata.normalize("NFKC", password)[:_JUDGED_LENGTH], user_inputs=words)
    if judged["score"] > _WEAK:
        return None
    advice = judged["feedback"]
    parts = [advice["warning"] or "This is too easy to guess.", *advice["suggestions"]]
    return " ".join(part if part.endswith(".") else f"{part}." for part in parts)


def _words(text: str) -> list[str]:
    """A text as a whole and in its parts: a name, an address with its local part and its domain."""
    return [text, *text.replace("@", " ").replace(".", " ").split()]
