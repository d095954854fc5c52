"""What the catalog cannot know of results: columns that are never null, rows that are always there; each with why."""

_LINE = "position kind description quantity unit_minor unit_per amount_minor"
_PERSON = "id email password_hash created_at"
_FIGURE = "figure label value"
_DIFFERENCE = "finding expected found"

# why → statement → columns
REASONS: dict[str, dict[str, str]] = {
    "The function hands on a column that is not null in its table.": {
        "accounts.find": _PERSON,
        "accounts.find_first_request": "organization_id user_id",
        "accounts.get": _PERSON,
        "accounts.list_seats": "organization_id user_id status",
        "alerts.readers": "email",
        "emails.claim_account_mail": "kind created_at",
        "keys.find_all": "organization_id api_key_id",
        "keys.resolve": "per_minute overage_minor status",
        "messages.show": "id type recipient segments metadata created_at",
        "messages.waiting_organizations": "organization_id",
        "plans.offers": "plan currency base_minor overage_minor overage_per is_hard_quota per_minute max_api_keys",
        "sessions.device": "created_at",
        "sessions.list_live": "id organization_id created_at last_seen_at expires_at",
        "sessions.seat": "account_id email",
        "sessions.whoami": "account_id user_id role created_at email "
        "organization_name organization_email plan founded_at",
        "team.get_member": "email",
        "team.list_members": "email",
        "team.resolve": "organization_id invitation_id",
    },
    "The view hands on columns that are not null in its tables, and a sum over a group has rows to sum.": {
        "spending.by_api_key": "requests success_count",
        "spending.by_endpoint": "endpoint method requests",
    },
    "The function makes a value of it for every row.": {
        "audit.verify": "is_intact events",
        "billing.fate": "total_minor status",
        "billing.missing_months": "month",
        "credit_notes.totals": "balance_minor",
        "invoices.overage_shares": "part requests amount_minor",
        "payments.apply": "cycle_id is_newly_paid surplus remainder",
        "plans.charge_supposing": _LINE,
        "previews.charge": _LINE,
        "queue.figures": _FIGURE,
        "reconciliation.figures": _FIGURE,
        "reconciliation.of_events": _DIFFERENCE,
        "reconciliation.of_payments": _DIFFERENCE,
        "reconciliation.reconcile": _DIFFERENCE,
        "spending.by_day": "day base_minor usage_minor",
        "usage.differences": "rollup since api_key_id endpoint method plan status_class recorded rolled_up",
    },
    "The function returns a value or raises.": {
        "accounts.mark_verified": "mark_verified",
        "accounts.take_attempt": "take_attempt",
        "billing.close_month": "close_month",
        "credit_notes.credit": "credit",
        "billing.release": "release",
        "maintenance.forget_finished_jobs": "forget_finished",
        "maintenance.rescue_stalled_jobs": "rescue_stalled",
        "replica.system": "system_identifier",
        "replica.written": "int8",
        "sessions.revoke_all": "revoke_sessions",
    },
    "The statement itself has just written it, compared it or made it of what is not null.": {
        "dashboard.stats": "total_requests_30d successful_requests_30d current_month_requests",
        "dashboard.usage_graph": "date",
        "messages.claim": "claimed_at",
        "messages.claim_abandoned": "claimed_at",
        "plans.rank": "rank",
        "plans.standing": "plan_now",
        "previews.open_month": "greatest",
        "queue.events": "at type",
        "queue.list": "status",
        "team.invite": "invited_by",
    },
}
NEVER_NULL = {
    (statement, column)
    for statements in REASONS.values()
    for statement, columns in statements.items()
    for column in columns.split()
}

# statement → why its row is there although nobody looks
ALWAYS_THERE = {
    "alerts.standing": "An organization has its row, and its plan has a price on every day.",
    "audit.verify": "The function returns one row.",
    "billing.fate": "The function returns one row.",
    "credit_notes.totals": "A sum over all rows is one row.",
    "dashboard.stats": "An organization has its row.",
    "messages.organization_name": "An organization has its row.",
    "payments.apply": "The function returns one row or raises.",
    "plans.change": "The caller holds the lock on this very row.",
    "plans.rank": "Every plan has a price on every day.",
    "replica.system": "The function returns one row.",
    "suppressions.get": "The entry was found to be there by the insert before.",
}

# Their answer is only asked whether there is something, compared with a number, or not looked at.
YES_OR_NO = {
    "accounts.hold_password", "accounts.keep_first_request", "accounts.set_password", "billing.close_cycle",
    "checks.context_now", "checks.is_migrated", "emails.queue_account_mail", "keys.count_active",
    "keys.lock_organization", "payments.surplus", "plans.has_overdue", "queue.cancel", "queue.retry", "sessions.open",
    "sessions.revoke", "suspension.status", "team.count_mails", "usage.count_hours", "usage.detach_partition",
    "usage.record", "usage.seal_hours",
}  # fmt: skip
