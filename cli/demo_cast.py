"""Who plays in `mts demo`: two organizations, their people, their keys, and what became of each of their months."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from db.keys import Mode
from db.payments import ProviderName
from db.types import Plan, Role

PASSWORD = "copper-heron-at-dawn"  # noqa: S105 - of made-up people, on an installation for trying out

Fate = Literal["paid", "paid_now", "overdue", "pending", "parked", "void"]
KeyEnd = Literal["expired", "revoked"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account; one who `has_left` keeps it but has no seat any more."""

    name: str
    email: str
    role: Role
    has_left: bool = False


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """A key, made by `maker` on the `since`-th day; `share` is its part of the traffic, `ended` how it ended."""

    name: str
    maker: int
    since: int
    share: int
    mode: Mode = "live"
    ended: KeyEnd | None = None


@dataclass(frozen=True, slots=True)
class MonthPlan:
    """A past month: its requests, what became of its invoice, and by whom it was paid.

    `runaway` requests more come from one client that polls without a pause for a weekend.
    """

    requests: int
    fate: Fate
    provider: ProviderName = "stripe"
    runaway: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """One organization, `orders` of whose customers get a message.

    `upgrades` maps the number of a month (0 is the first) and a day in it to the plan from then on; on the first of
    these days the organization signed up.
    """

    name: str
    slug: str
    people: tuple[Person, ...]
    keys: tuple[KeyPlan, ...]
    months: tuple[MonthPlan, ...]
    requests_now: int
    upgrades: Mapping[tuple[int, int], Plan]
    invited: tuple[str, ...] = ()
    orders: int = 12

    @property
    def owner(self) -> Person:
        """The one who signed up, and pays."""
        return self.people[0]

    @property
    def plan(self) -> Plan:
        """The plan at the end of the story."""
        return self.upgrades[max(self.upgrades)]


BLUE_HERON = Story(
    name="Blue Heron Logistics",
    slug="BH",
    people=(
        Person("Maya Okafor", "maya@blueheron.example", "owner"),
        Person("Tomás Rivera", "tomas@blueheron.example", "admin"),
        Person("Lena Fischer", "lena@blueheron.example", "member"),
        Person("Jonas Weber", "jonas@blueheron.example", "member", has_left=True),
    ),
    keys=(
        KeyPlan("Production", 0, 0, 46),
        KeyPlan("Driver app", 1, 6, 28),
        KeyPlan("Warehouse scanner", 3, 20, 16),
        KeyPlan("Partner portal", 1, 30, 6, ended="expired"),
        KeyPlan("Old server", 0, 1, 8, ended="revoked"),
        KeyPlan("Staging", 2, 40, 4, mode="test"),
    ),
    months=(
        MonthPlan(3_100, "paid"),
        MonthPlan(4_200, "paid", "paystack"),
        MonthPlan(5_200, "void", runaway=111_000),
        MonthPlan(6_300, "paid"),
        MonthPlan(7_400, "paid"),
        MonthPlan(8_100, "paid_now"),
    ),
    requests_now=9_000,
    upgrades=MappingProxyType({(0, 4): "starter", (3, 17): "pro"}),
    invited=("priya@blueheron.example",),
    orders=24,
)

COPPER_KETTLE = Story(
    name="Copper Kettle Foods",
    slug="CK",
    people=(
        Person("Sam Brandt", "sam@copperkettle.example", "owner"),
        Person("Rosa Conti", "rosa@copperkettle.example", "member"),
    ),
    keys=(
        KeyPlan("Shop", 0, 0, 70),
        KeyPlan("Newsletter", 1, 12, 30),
        KeyPlan("Old shop", 0, 0, 20, ended="revoked"),
        KeyPlan("Try-out", 1, 60, 2, mode="test"),
    ),
    months=(
        MonthPlan(7_200, "paid"),
        MonthPlan(9_300, "paid", "paystack"),
        MonthPlan(10_900, "paid_now", "paystack"),
        MonthPlan(11_900, "overdue"),
        MonthPlan(9_700, "parked", runaway=112_000),
        MonthPlan(12_600, "pending"),
    ),
    requests_now=12_400,
    upgrades=MappingProxyType({(0, 3): "starter"}),
)

STORIES = (BLUE_HERON, COPPER_KETTLE)
