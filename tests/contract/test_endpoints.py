"""Every endpoint of the contract is there, under its method, path and access."""

import pytest

from api.app import SUBJECTS

BASE = "/api/v1"

# Method, path, who may call: a word of the access rule that the registration must carry.
CONTRACT = """
POST /auth/register public
POST /auth/login public
GET /auth/me user
POST /auth/verify-email public
POST /auth/request-email-verification user
POST /auth/request-password-reset public
POST /auth/reset-password public
POST /auth/change-password user
POST /auth/logout user
POST /auth/switch-organization user
GET /auth/sessions user
DELETE /auth/sessions user
POST /keys CREATE_KEYS
GET /keys user
DELETE /keys/{} REVOKE_KEYS
POST /keys/{}/rotate REVOKE_KEYS
POST /team/invite INVITE_MEMBERS
POST /team/accept-invitation public
POST /team/decline-invitation public
GET /team/members user
DELETE /team/members/{} REMOVE_MEMBERS
PUT /team/members/{}/role CHANGE_ROLES
DELETE /team/invitations/{} INVITE_MEMBERS
POST /team/invitations/{}/resend INVITE_MEMBERS
GET /billing/usage VIEW_BILLING
GET /billing/history VIEW_BILLING
GET /billing/calculate VIEW_BILLING
POST /billing/upgrade UPGRADE_PLAN
POST /billing/initiate-payment PAY_INVOICES
GET /billing/invoices/{} VIEW_BILLING
GET /dashboard/stats VIEW_DASHBOARD
GET /dashboard/usage-graph VIEW_DASHBOARD
GET /dashboard/api-keys VIEW_DASHBOARD
POST /messages/send MESSAGES_SEND
GET /messages/{} MESSAGES_READ
GET /messages MESSAGES_READ
GET /usage USAGE_READ
POST /webhooks/stripe signed
POST /webhooks/paystack signed
GET /health public
GET /audit/events VIEW_AUDIT
"""


def _registered() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for router in SUBJECTS:
        for endpoint in router.endpoints:
            declared = endpoint.declared
            path = "/".join("{}" if part.startswith("{") else part for part in declared.template.split("/"))
            access = declared.access
            found[declared.method, path] = f"{access.name} {access.value}"
    return found


@pytest.mark.parametrize("line", CONTRACT.split("\n")[1:-1])
def test_an_endpoint_of_the_contract_is_registered_with_its_access(line: str) -> None:
    method, path, access = line.split(" ")
    assert access in _registered()[method, BASE + path]


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz", "/metrics"])
def test_the_probes_answer_outside_the_api(path: str) -> None:
    assert ("GET", path) in _registered()
