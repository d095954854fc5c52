"""A visitor who reads pages as bytes: finds the forms in them, fills them in and sends them, cookies and all."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

import httpx


@dataclass
class Form:
    """A form of a page: where it leads, and what it holds already."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)  # ids of inputs that have no label


@dataclass
class Page:
    """A page as it arrived."""

    response: httpx.Response
    forms: list[Form]
    links: list[str]
    elements: list[tuple[str, dict[str, str | None]]]
    text: str

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.response.headers["location"]

    def form(self, action: str) -> Form:
        """The form that leads to a path."""
        found = [form for form in self.forms if form.action == action]
        assert found, f"no form to {action}, only {[form.action for form in self.forms]}"
        return found[0]


@dataclass
class Surfer:
    """Somebody with a browser that keeps cookies, on a network of his own."""

    http: httpx.AsyncClient
    network: str
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)  # the last answer's, whole

    async def get(self, path: str, **headers: str) -> Page:
        """GET, without following a redirect."""
        return await self._ask("GET", path, None, headers)

    async def post(self, path: str, values: dict[str, str], **headers: str) -> Page:
        """POST a form; from our own site unless `Origin` says otherwise."""
        return await self._ask("POST", path, values, {"Origin": str(self.http.base_url).rstrip("/")} | headers)

    async def submit(self, page: Page, action: str, **values: str) -> Page:
        """Fill in a form of a page and send it."""
        return await self.post(action, page.form(action).values | values)

    async def follow(self, page: Page) -> Page:
        """Go where an answer leads."""
        assert page.status == 303, f"{page.status} {page.text}"
        return await self.get(page.location)

    async def register(self, email: str, password: str, organization: str = "Acme") -> Page:
        """Make an organization; the dashboard."""
        sent = await self.submit(
            await self.get("/register"), "/register", organization_name=organization, email=email, password=password
        )
        return await self.follow(sent)

    async def log_in(self, email: str, password: str) -> Page:
        """Log in; the answer to the form."""
        return await self.submit(await self.get("/login"), "/login", email=email, password=password)

    async def _ask(self, method: str, path: str, values: dict[str, str] | None, headers: dict[str, str]) -> Page:
        sent = {"X-Forwarded-For": self.network, "Accept": "text/html"}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.http.request(method, path, data=values, headers=sent | named)
        self._keep(response)
        return read(response)

    def _keep(self, response: httpx.Response) -> None:
        self.set_cookies = response.headers.get_list("set-cookie")
        for line in self.set_cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


def read(response: httpx.Response) -> Page:
    """Take a page apart."""
    reader = _Reader()
    if response.headers.get("content-type", "").startswith("text/html"):
        reader.feed(response.text)
    return Page(response, reader.forms, reader.links, reader.elements, " ".join(" ".join(reader.texts).split()))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open_form: Form | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        if tag == "form":
            self._open_form = Form(given.get("action") or "", given.get("method") or "get")
            self.forms.append(self._open_form)
        if tag == "a" and (href := given.get("href")):
            self.links.append(href)
        if self._open_form is not None:
            self._fill(self._open_form, tag, given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open_form = None

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def _fill(self, form: Form, tag: str, given: dict[str, str | None]) -> None:
        if tag == "select":
            self._select = given.get("name")
        if tag == "option" and self._select and (self._select not in form.values or "selected" in given):
            form.values[self._select] = given.get("value") or ""
        if tag == "input" and (name := given.get("name")) and ("checked" in given or given.get("type") != "checkbox"):
            form.values[name] = given.get("value") or ""


def inner_paths(page: Page) -> set[str]:
    """The paths of our own that a page links to."""
    return {urlsplit(link).path for link in page.links if link.startswith("/")}
