"""Whom a message can go to: addresses and telephone numbers in their one form, or the error of the field."""

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from db.errors import Invalid


def email_address(text: str, field: str) -> str:
    """An e-mail address, normalized. Raises Invalid for `field`."""
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
