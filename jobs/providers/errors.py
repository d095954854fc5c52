"""What can go wrong with the outside world, in the three kinds that a caller treats differently."""

from typing import Literal

SignatureFault = Literal["missing", "mismatch", "stale", "malformed"]


class ProviderError(Exception):
    """The common parent of what a provider's client raises."""


class ProviderUnavailable(ProviderError):
    """The provider could not be reached, was too slow, overloaded or broken: ask again later.

    `retry_after` is in seconds, None when the provider named none. `uncertain` is True when the request
    may have taken effect all the same, so an action that is not idempotent must be asked about, not repeated.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, uncertain: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.uncertain = uncertain


class ProviderRefused(ProviderError):
    """The provider answered and said no; the same request will be refused again.

    `code` is the provider's own word for the reason, `message` its sentence, for logs and operators.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class SignatureError(ProviderError):
    """A call-back is not proven to come from the provider; nothing in it may be believed."""

    def __init__(self, fault: SignatureFault) -> None:
        super().__init__(fault)
        self.fault = fault
