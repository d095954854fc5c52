"""Every page of every role is whole: links lead somewhere, fields have labels, nothing is inline."""

import re
from dataclasses import dataclass

import pytest

from api import pages
from tests.pages.lively import make_lively
from tests.pages.surfing import Page, Surfer, inner_paths
from tests.stack import Stack

PUBLIC = ["/", "/login", "/register", "/forgot-password", "/reset-password", "/verify-email", "/accept-invitation"]
LABELLED = {"input", "select", "textarea"}
VOID_OF_LABELS = {"hidden", "submit", "checkbox"}


@dataclass
class Crawled:
    """What somebody of a role can reach by following links from the dashboard."""

    role: str
    pages: dict[str, Page]


@pytest.fixture(scope="module")
async def crawled(stack: Stack) -> list[Crawled]:
    """The site as strangers, owners, admins and members see it."""
    stranger = Surfer(stack.http, "10.254.1.7")
    found = [Crawled("stranger", {path: await stranger.get(path) for path in PUBLIC})]
    for role, person in (await make_lively(stack)).items():
        surfer = Surfer(stack.http, person.network)
        await surfer.log_in(person.email, person.password)
        found.append(Crawled(role, await crawl(surfer)))
    return found


async def crawl(surfer: Surfer) -> dict[str, Page]:
    """Follow every link of our own once, each kind of invoice too."""
    seen: dict[str, Page] = {}
    waiting = ["/dashboard", "/keys/new"]
    while waiting:
        path = waiting.pop()
        seen[path] = await surfer.get(path)
        waiting += [each for each in inner_paths(seen[path]) if each not in seen and each not in waiting]
    return seen


async def test_no_link_leads_nowhere(crawled: list[Crawled]) -> None:
    for site in crawled:
        lost = {path: page.status for path, page in site.pages.items() if page.status not in (200, 303)}
        assert lost == {}, site.role


async def test_the_navigation_shows_what_a_role_may_see(crawled: list[Crawled]) -> None:
    reached = {site.role: set(site.pages) for site in crawled}
    assert {"/usage", "/billing", "/audit", "/team", "/account"} <= reached["owner"]
    assert {"/usage", "/billing", "/audit"} <= reached["admin"]
    assert not {"/usage", "/billing", "/audit"} & reached["member"]
    assert {path for path in reached["owner"] if path.startswith("/invoices/")}


async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(crawled: list[Crawled]) -> None:
    for site, path, page in every(crawled):
        for tag, given in page.elements:
            assert tag != "style", f"{site} {path}"
            assert not [name for name in given if name == "style" or name.startswith("on")], f"{site} {path} {tag}"
            if tag in ("script", "img", "link"):
                source = given.get("src") or given.get("href") or ""
                assert source.startswith("/"), f"{site} {path} {tag} {source}"
        policy = page.response.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; base-uri 'none'")
        assert "unsafe" not in policy


async def test_templates_leave_no_trace(crawled: list[Crawled]) -> None:
    for site, path, page in every(crawled):
        for trace in ("{{", "{%", "{#", "Undefined", "None", "&amp;amp;", "\x00"):
            assert trace not in page.response.text, f"{site} {path} {trace}"


async def test_every_field_has_its_label_and_every_id_is_one(crawled: list[Crawled]) -> None:
    for site, path, page in every(crawled):
        ids = [str(given["id"]) for _, given in page.elements if given.get("id")]
        assert len(ids) == len(set(ids)), f"{site} {path} {sorted(ids)}"
        labels = {given.get("for") for tag, given in page.elements if tag == "label"}
        for tag, given in page.elements:
            if tag in LABELLED and given.get("type") not in VOID_OF_LABELS:
                assert given.get("id") in labels, f"{site} {path} {given}"
            for pointer in ("aria-describedby", "aria-labelledby", "popovertarget", "for"):
                if pointer in given:
                    assert given[pointer] in ids, f"{site} {path} {tag} {pointer}={given[pointer]}"


async def test_every_page_has_one_heading_a_title_and_a_main_part(crawled: list[Crawled]) -> None:
    for site, path, page in every(crawled):
        tags = [tag for tag, _ in page.elements]
        assert (tags.count("h1"), tags.count("main")) == (1, 1), f"{site} {path}"
        assert re.search(r"<title>[^<]+ · MTS</title>", page.response.text), f"{site} {path}"


async def test_every_form_is_guarded_and_leads_to_a_page_of_ours(crawled: list[Crawled]) -> None:
    posts = {
        re.compile(re.sub(r"{\w+}", "[0-9a-f-]{36}", endpoint.declared.template))
        for router in pages.ROUTERS
        for endpoint in router.endpoints
        if endpoint.declared.method == "POST"
    }
    for site, path, page in every(crawled):
        for form in page.forms:
            if form.method == "post":
                assert form.values.get("csrf"), f"{site} {path} {form.action}"
                assert any(post.fullmatch(form.action) for post in posts), f"{site} {path} {form.action}"


async def test_pages_are_kept_by_nobody(crawled: list[Crawled]) -> None:
    for site, path, page in every(crawled):
        assert page.response.headers["cache-control"] == "no-store", f"{site} {path}"


def every(crawled: list[Crawled]) -> list[tuple[str, str, Page]]:
    """Every page of ours that somebody reached; the reference of the API is another's."""
    return [
        (site.role, path, page)
        for site in crawled
        for path, page in site.pages.items()
        if page.status == 200
        and not path.startswith(("/docs", "/api", "/static"))
        and not path.endswith(("/print", "/pdf"))
    ]
