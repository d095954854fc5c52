"""Permissions, addresses, cursors and log lines, by themselves."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import cursors
from api.address import UNKNOWN, client_address, networks, prefix
from api.permissions import MATRIX, Permission, Reach, Role, matrix_markdown, reach, require
from db.errors import Forbidden, Invalid
from db.types import new_id
from tests.networks import new_network

SPECIFIED = """
| Action | Owner | Admin | Member |
|---|---|---|---|
| View dashboard | yes | yes | yes |
| Create API keys | yes | yes | yes |
| Revoke API keys | yes | yes | own only |
| Invite members | yes | yes | no |
| Remove members | yes | yes | no |
| Change roles | yes | no | no |
| View billing | yes | yes | no |
| Upgrade plan | yes | no | no |
| Pay invoices | yes | no | no |
"""


def test_the_matrix_is_the_specifications() -> None:
    assert matrix_markdown().startswith(SPECIFIED.strip())


def test_every_cell_is_enforced() -> None:
    for permission, cells in MATRIX.items():
        for role, cell in zip(Role, cells, strict=True):
            assert reach(role.value, permission) is cell
            if cell is Reach.NONE:
                with pytest.raises(Forbidden):
                    require(role.value, permission)
            else:
                assert require(role.value, permission) is cell
    assert set(MATRIX) == set(Permission)


def test_an_unknown_role_reaches_nothing() -> None:
    assert all(reach("superuser", permission) is Reach.NONE for permission in Permission)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"), ("nonsense", UNKNOWN), ("fe80::1%eth0", "fe80::/64"),
    ],
)  # fmt: skip
def test_addresses_are_limited_by_network(address: str, network: str) -> None:
    assert prefix(address) == network


def test_those_who_ask_in_the_tests_are_limited_each_for_himself() -> None:
    assert len({prefix(new_network()) for _ in range(2_000)}) == 2_000


def scope(peer: str, *forwarded: str) -> dict[str, object]:
    """An ASGI scope of a request from `peer`."""
    return {"client": (peer, 1), "headers": [(b"x-forwarded-for", each.encode()) for each in forwarded]}


def test_a_stranger_cannot_choose_its_address() -> None:
    ours = networks(["10.0.0.0/8"])
    assert client_address(scope("203.0.113.7", "198.51.100.1"), ours) == "203.0.113.7"
    assert client_address(scope("10.1.1.1", "198.51.100.1, 203.0.113.7"), ours) == "203.0.113.7"
    assert client_address(scope("10.1.1.1", "203.0.113.7, 10.2.2.2"), ours) == "203.0.113.7"
    assert client_address(scope("10.1.1.1", "10.3.3.3, 10.2.2.2"), ours) == "10.3.3.3"
    assert client_address({"client": None, "headers": []}, ours) == UNKNOWN


@given(st.text())
def test_whatever_is_forwarded_an_address_comes_out(forwarded: str) -> None:
    text = forwarded.encode("utf-8", "replace").decode("latin-1")
    ip_address(client_address(scope("127.0.0.1", text), networks(["127.0.0.1"])))


def test_a_cursor_gives_back_its_row() -> None:
    at, key = datetime(2026, 11, 23, 12, 0, 0, 123_456, tzinfo=UTC) + timedelta(microseconds=1), new_id()
    assert cursors.decode(cursors.encode(at, key)) == (at, key)


@given(st.text(alphabet="ABCxyz019_-", min_size=1, max_size=60).filter(lambda text: len(text) != 32))
def test_a_cursor_that_is_not_ours_is_a_wrong_field(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        cursors.decode(text)
    assert caught.value.details["field"] == "cursor"
