"""What a form sent, read into the API's own body types, and kept to fill the form again when it was refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from pydantic import ConfigDict, ValidationError

from api.errors import status_of
from api.fields import Body
from api.validation import invalid
from db.errors import DomainError, TooMany

B = TypeVar("B", bound=Body)


class Form(Body):
    """Any form: the token against forgery, and whatever else it sent."""

    model_config = ConfigDict(extra="allow")

    csrf: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """What was filled in; an empty field counts as not given."""
        sent = {name: value for name, value in self if name != "csrf"}
        return {name: value for name, value in sent.items() if value not in ("", [], None)}

    def text(self, name: str) -> str:
        """One value, empty when it was not given."""
        return str(self.values.get(name, ""))

    def read(self, model: type[B], **more: Any) -> B:
        """The form as a body of the API, checked by its rules; raises Invalid naming every wrong field."""
        values = {name: value for name, value in self.values.items() if name in model.model_fields} | more
        try:
            return model.model_validate(values, strict=False)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False), "form") from None


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it is shown: what was filled in before, and why it was refused."""

    values: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    refusal: DomainError | None = None

    @classmethod
    def refused(cls, form: Form, refusal: DomainError) -> Self:
        """The form that was just sent; passwords are never shown again."""
        kept = {name: value for name, value in form.values.items() if "password" not in name}
        reasons = {each["field"]: each["reason"] for each in refusal.details.get("errors", ())}
        return cls(kept, reasons, refusal)

    @classmethod
    def of_query(cls, refusal: DomainError) -> Self:
        """What was asked for in the address, refused."""
        return cls({}, {each["field"]: each["reason"] for each in refusal.details.get("errors", ())}, refusal)

    @property
    def status(self) -> int:
        """The status of the page that shows it."""
        return status_of(self.refusal) if self.refusal else 200

    @property
    def headers(self) -> dict[str, str]:
        """What the refusal tells in headers."""
        return dict(self.refusal.headers) if isinstance(self.refusal, TooMany) else {}

    @property
    def message(self) -> str | None:
        """Why it was refused, when no field of its own says so."""
        return self.refusal.message if self.refusal and not self.reasons else None

    def reasons_outside(self, *names: str) -> list[str]:
        """Reasons that belong to none of the fields a form shows."""
        return [f"{name}: {reason}" for name, reason in self.reasons.items() if name not in names]


EMPTY = Filled()
