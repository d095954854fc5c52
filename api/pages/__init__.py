"""The pages that people see in a browser: the API's subjects and rules, templates instead of JSON."""

from api.http import Router
from api.pages import account, audit, auth, billing, dashboard, home, invitation, keys, team, usage

ROUTERS: tuple[Router, ...] = tuple(
    subject.pages.router for subject in (home, auth, invitation, dashboard, keys, team, usage, billing, audit, account)
)
