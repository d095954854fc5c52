"""Signs mail with DKIM (RFC 6376), so that receivers can tell that it is ours and unchanged."""

from dataclasses import dataclass, field

import dkim

SIGNED_ONCE_AND_FOR_ALL = (b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"content-type")
SIGNED_WHEN_THERE = (b"mime-version", b"list-unsubscribe", b"list-unsubscribe-post", b"auto-submitted")


@dataclass(frozen=True, slots=True)
class DkimKey:
    """The RSA private key (PEM) whose public half is published at `<selector>._domainkey.<domain>`."""

    domain: str
    selector: str
    private_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError now, not at the first mail, when the key is not an RSA key in PEM."""
        try:
            dkim.crypto.parse_pem_private_key(self.private_key)
        except dkim.crypto.UnparsableKeyError:
            raise ValueError("the DKIM key must be an RSA private key in PEM") from None

    def signed(self, content: bytes) -> bytes:
        """The content with a DKIM-Signature header in front. Takes some milliseconds of processor time.

        Named twice, a header can neither be changed nor be added once more (RFC 6376, section 8.15); RFC 8058 asks for
        both List-Unsubscribe headers to be covered.
        """
        present = {line.split(b":", 1)[0].lower() for line in content.split(b"\r\n\r\n", 1)[0].split(b"\r\n")}
        signature = dkim.sign(
            content,
            self.selector.encode(),
            self.domain.encode(),
            self.private_key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[*SIGNED_ONCE_AND_FOR_ALL * 2, *(name for name in SIGNED_WHEN_THERE if name in present)],
        )
        return bytes(signature) + content
