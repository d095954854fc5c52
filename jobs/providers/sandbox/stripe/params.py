"""The parameters of the calls that the sandbox understands; anything else is refused by name, as Stripe does."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=40)], Annotated[str, StringConstraints(max_length=500)]],
    Field(max_length=50),
]
Currency = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[a-zA-Z]{3}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+", max_length=5000)]


class Params(BaseModel):
    """The common parent: unknown names are refused."""

    model_config = ConfigDict(extra="forbid")

    expand: list[str] = []


class Product(Params):
    """`product_data` of a price."""

    name: str = Field(min_length=1)
    description: str | None = None
    metadata: Metadata = {}


class Price(Params):
    """`price_data` of a line."""

    currency: Currency
    unit_amount: int = Field(ge=0, le=99_999_999)
    product_data: Product


class Line(Params):
    """One of `line_items`."""

    price_data: Price
    quantity: int = Field(1, ge=1)


class IntentData(Params):
    """`payment_intent_data`: what the PaymentIntent will carry."""

    description: str | None = None
    metadata: Metadata = {}
    receipt_email: str | None = None


class SessionCreate(Params):
    """POST /v1/checkout/sessions."""

    mode: Literal["payment"]
    line_items: list[Line] = Field(min_length=1, max_length=100)
    success_url: Url
    cancel_url: Url | None = None
    client_reference_id: str | None = Field(None, max_length=200)
    customer_email: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$", max_length=512)
    expires_at: int | None = None
    locale: str | None = None
    submit_type: Literal["auto", "pay", "book", "donate"] | None = None
    payment_method_types: list[str] = ["card"]
    metadata: Metadata = {}
    payment_intent_data: IntentData = IntentData()


class RefundCreate(Params):
    """POST /v1/refunds."""

    payment_intent: str | None = None
    charge: str | None = None
    amount: int | None = Field(None, ge=1)
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    metadata: Metadata = {}


class Listing(Params):
    """The query of every list endpoint; each endpoint uses the filters it knows."""

    limit: int = Field(10, ge=1, le=100)
    starting_after: str | None = None
    ending_before: str | None = None
    created: int | dict[Literal["gt", "gte", "lt", "lte"], int] | None = None
    payment_intent: str | None = None
    charge: str | None = None
    status: str | None = None
    type: str | None = None

    def where(self) -> dict[str, Any]:
        """The exact filters."""
        exact = self.model_dump(include={"payment_intent", "charge", "status", "type"}, exclude_none=True)
        return {**exact, "created": self.created} if isinstance(self.created, int) else exact

    def ranges(self) -> dict[str, int]:
        """The bounds on the time of creation."""
        signs = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
        bounds = self.created if isinstance(self.created, dict) else {}
        return {f"created {signs[name]}": value for name, value in bounds.items()}


class Nothing(Params):
    """A call that takes no parameters but `expand`."""
