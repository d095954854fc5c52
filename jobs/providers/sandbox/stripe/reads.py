"""Reading Stripe's objects: one, a list, and what `expand` puts in place of ids."""

from collections.abc import Callable
from typing import Any

from jobs.providers.sandbox.state import Sandbox
from jobs.providers.sandbox.store import Body
from jobs.providers.sandbox.stripe.gate import Call
from jobs.providers.sandbox.stripe.params import Listing, Params
from jobs.providers.sandbox.stripe.refusals import missing

KINDS = {
    "cs_": "checkout.session",
    "pi_": "payment_intent",
    "ch_": "charge",
    "re_": "refund",
    "du_": "dispute",
    "evt_": "event",
}


def load(sandbox: Sandbox, kind: str, key: str, param: str = "id") -> Body:
    """The object with this id. Raises StripeRefusal 404."""
    found = sandbox.store.get(kind, key)
    if found is None:
        raise missing(kind, key, param)
    return found


def retrieve(kind: str) -> Callable[[Call, Params], Body]:
    """The action of GET /v1/…/{id}."""

    def action(call: Call, params: Params) -> Body:
        return expanded(call.sandbox, load(call.sandbox, kind, call.key), params.expand)

    return action


def listing(kind: str) -> Callable[[Call, Listing], Body]:
    """The action of GET /v1/…: newest first, one page."""

    def action(call: Call, params: Listing) -> Body:
        rows = call.sandbox.store.select(
            kind,
            params.where(),
            ranges=params.ranges(),
            after=params.starting_after,
            before=params.ending_before,
            limit=-1 if params.ending_before else params.limit + 1,
        )
        # A page before an id is the one that ends right before it, still newest first.
        page = rows[-params.limit :] if params.ending_before else rows[: params.limit]
        body = envelope(page, call.path.removeprefix("/stripe"), has_more=len(rows) > len(page))
        return expanded(call.sandbox, body, params.expand)

    return action


def envelope(rows: list[Body], url: str, *, has_more: bool = False) -> Body:
    """Stripe's list object."""
    return {"object": "list", "data": rows, "has_more": has_more, "url": url}


def line_items(call: Call, params: Listing) -> Body:
    """The action of GET /v1/checkout/sessions/{id}/line_items."""
    load(call.sandbox, "checkout.session", call.key)
    return lines_of(call.sandbox, call.key)


def lines_of(sandbox: Sandbox, session_id: str) -> Body:
    """A session's lines as a list object."""
    kept = sandbox.store.get("session_lines", session_id) or {"lines": []}
    return envelope(kept["lines"], f"/v1/checkout/sessions/{session_id}/line_items")


def expanded(sandbox: Sandbox, body: Body, paths: list[str]) -> Body:
    """The body with the objects that the paths name in place of their ids."""
    for path in paths:
        _expand(sandbox, body, path.split("."))
    return body


def _expand(sandbox: Sandbox, node: Any, steps: list[str]) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(sandbox, item, steps)
    elif isinstance(node, dict) and steps:
        name, *rest = steps
        if name == "line_items" and node.get("object") == "checkout.session":
            node[name] = lines_of(sandbox, node["id"])
        elif isinstance(node.get(name), str):
            node[name] = _object(sandbox, node[name])
        _expand(sandbox, node.get(name), rest)


def _object(sandbox: Sandbox, key: str) -> Body | str:
    """The object behind an id, or the id when it names none."""
    kind = KINDS.get(key[: key.find("_") + 1])
    return (sandbox.store.get(kind, key) if kind else None) or key
