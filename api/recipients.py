"""Whom a message can go to: addresses and telephone numbers in their one form, or the error of the field."""

import re

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from db.errors import Invalid

# Most addresses: short, and without anything that needs a second look. Their one form is what they are, as the library
# says of them too, forty times as slowly; all others it judges itself.
_PLAIN = re.compile(r"[a-zA-Z0-9_+-]+(?:\.[a-zA-Z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,}")
_PLAIN_LENGTH = 64  # as long as the part before the @ may be; a label of the domain is shorter then, too
_SPECIAL = tuple(f".{name}" for name in SPECIAL_USE_DOMAIN_NAMES)


def email_address(text: str, field: str) -> str:
    """An e-mail address, normalized. Raises Invalid for `field`."""
    if len(text) <= _PLAIN_LENGTH and _PLAIN.fullmatch(text) and not text.endswith(_SPECIAL):
        return text
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        raise Invalid.field(field, "Must be a valid e-mail address") from None


def phone_number(text: str, field: str) -> str:
    """A telephone number in E.164. Raises Invalid for `field`."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise Invalid.field(field, "Must be a phone number in E.164, such as +14155550123") from None
    if not phonenumbers.is_possible_number(number):
        raise Invalid.field(field, "Must be a possible phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
