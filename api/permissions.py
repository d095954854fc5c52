"""Who may do what: the one table of roles and permissions, and the kinds of access an endpoint can declare."""

from enum import Enum, StrEnum

from db.errors import Forbidden


class Role(StrEnum):
    """A seat's role in its organization, highest first."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


class Access(Enum):
    """Access that needs no permission: everybody, any seat, or a verified webhook signature."""

    PUBLIC = "public"
    ANY_USER = "any user"
    SIGNED = "signed"


PUBLIC = Access.PUBLIC
ANY_USER = Access.ANY_USER
SIGNED = Access.SIGNED


class Scope(StrEnum):
    """What an API key may be allowed to do."""

    MESSAGES_SEND = "messages:send"
    MESSAGES_READ = "messages:read"
    USAGE_READ = "usage:read"


class Permission(Enum):
    """An action of the permission matrix; the value is its name in the documentation."""

    VIEW_DASHBOARD = "View dashboard"
    CREATE_KEYS = "Create API keys"
    REVOKE_KEYS = "Revoke API keys"
    INVITE_MEMBERS = "Invite members"
    REMOVE_MEMBERS = "Remove members"
    CHANGE_ROLES = "Change roles"
    VIEW_BILLING = "View billing"
    UPGRADE_PLAN = "Upgrade plan"
    PAY_INVOICES = "Pay invoices"
    HAND_OVER_OWNERSHIP = "Hand over ownership"
    MANAGE_WEBHOOKS = "Manage webhook endpoints"
    VIEW_AUDIT = "View audit trail"
    MANAGE_ORGANIZATION = "Rename the organization"
    MANAGE_SUPPRESSIONS = "Manage suppressed recipients"


class Reach(StrEnum):
    """How far a permission goes for a role: everything of the organization, only what is one's own, or nothing."""

    ALL = "all"
    OWN = "own"
    NONE = "none"


_ALL, _OWN, _NONE = Reach.ALL, Reach.OWN, Reach.NONE

# One line an action: owner, admin, member.
MATRIX: dict[Permission, tuple[Reach, Reach, Reach]] = {
    Permission.VIEW_DASHBOARD: (_ALL, _ALL, _ALL),
    Permission.CREATE_KEYS: (_ALL, _ALL, _ALL),
    Permission.REVOKE_KEYS: (_ALL, _ALL, _OWN),
    Permission.INVITE_MEMBERS: (_ALL, _ALL, _NONE),
    Permission.REMOVE_MEMBERS: (_ALL, _ALL, _NONE),
    Permission.CHANGE_ROLES: (_ALL, _NONE, _NONE),
    Permission.VIEW_BILLING: (_ALL, _ALL, _NONE),
    Permission.UPGRADE_PLAN: (_ALL, _NONE, _NONE),
    Permission.PAY_INVOICES: (_ALL, _NONE, _NONE),
    Permission.HAND_OVER_OWNERSHIP: (_ALL, _NONE, _NONE),
    Permission.MANAGE_WEBHOOKS: (_ALL, _ALL, _NONE),
    Permission.VIEW_AUDIT: (_ALL, _ALL, _NONE),
    Permission.MANAGE_ORGANIZATION: (_ALL, _NONE, _NONE),
    Permission.MANAGE_SUPPRESSIONS: (_ALL, _ALL, _NONE),
}

_BY_ROLE: dict[str, dict[Permission, Reach]] = {
    role.value: {permission: cells[column] for permission, cells in MATRIX.items()} for column, role in enumerate(Role)
}


def reach(role: str, permission: Permission) -> Reach:
    """How far `permission` goes for `role`; an unknown role reaches nothing."""
    return _BY_ROLE.get(role, {}).get(permission, Reach.NONE)


def require(role: str, permission: Permission) -> Reach:
    """As `reach`, but raises Forbidden PERMISSION_DENIED where the matrix says no."""
    found = reach(role, permission)
    if found is Reach.NONE:
        raise Forbidden(
            "PERMISSION_DENIED", "Your role does not allow this", {"permission": permission.value, "role": role}
        )
    return found


def matrix_rows() -> list[tuple[str, tuple[str, ...]]]:
    """The matrix for people: each action with its cell for owner, admin and member."""
    words = {Reach.ALL: "yes", Reach.OWN: "own only", Reach.NONE: "no"}
    return [(permission.value, tuple(words[cell] for cell in cells)) for permission, cells in MATRIX.items()]


def matrix_markdown() -> str:
    """The matrix as a Markdown table."""
    head = ["| Action | Owner | Admin | Member |", "|---|---|---|---|"]
    return "\n".join(head + [f"| {action} | {' | '.join(cells)} |" for action, cells in matrix_rows()])
