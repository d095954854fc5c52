"""The bodies that the sandbox understands; Paystack ignores fields it does not know."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.=-]+$", max_length=100)]
"""Paystack's rule: only alphanumerics and `-`, `.`, `=`."""


class Initialize(BaseModel):
    """POST /transaction/initialize; the amount may come as a number or as its digits."""

    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    amount: int = Field(gt=0)
    currency: Literal["GHS", "KES", "NGN", "USD", "ZAR"] = "NGN"
    reference: Reference | None = None
    callback_url: str | None = None
    metadata: Any = None


class Refund(BaseModel):
    """POST /refund."""

    transaction: str | int
    amount: int | None = Field(None, gt=0)
    currency: str | None = None
    customer_note: str | None = None
    merchant_note: str | None = None


class Window(BaseModel):
    """The query of a list endpoint."""

    per_page: int = Field(50, ge=1, le=100, alias="perPage")
    page: int = Field(1, ge=1)
    start: str | None = Field(None, alias="from")
    end: str | None = Field(None, alias="to")
    status: str | None = None
    transaction: int | None = None
