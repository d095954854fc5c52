"""The tour's own client: it shows each request as the curl command that makes it, and each answer as it came."""

import json
import re
import textwrap
from typing import Any

import httpx

from cli.errors import CommandError

_SECRETS = re.compile(r"(sk_(?:live|test)_[0-9a-f]{4})[0-9a-f]+|(eyJ[\w-]{6})[\w.-]+")
WIDTH = 118
SHOWN_ENTRIES = 6
SHOWN_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "ratelimit", "idempotent-replayed")


class Guide:
    """Speaks with one installation and tells what it does; every answer must be the expected one."""

    def __init__(self, base_url: str, sandbox_url: str) -> None:
        self.base_url = base_url
        self.sandbox = httpx.Client(base_url=sandbox_url, timeout=30)
        self._client = httpx.Client(base_url=base_url, timeout=30)
        self._steps = 0

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self.sandbox.close()

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._steps += 1
        print(f"\n── {self._steps}. {title}\n", flush=True)

    def say(self, text: str) -> None:
        """Tell what happened outside HTTP."""
        print(textwrap.fill(text, WIDTH), flush=True)

    def show(self, method: str, path: str, expected: int, *, token: str = "", body: Any = None, **headers: str) -> Any:
        """Make a request to the API and print it with its answer; returns the answer's `data`."""
        return self._call(method, path, expected, token, body, headers, shown=True)

    def quietly(
        self, method: str, path: str, expected: int, *, token: str = "", body: Any = None, **headers: str
    ) -> Any:
        """Make a request without showing it."""
        return self._call(method, path, expected, token, body, headers, shown=False)

    def _call(
        self, method: str, path: str, expected: int, token: str, body: Any, headers: dict[str, str], *, shown: bool
    ) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent |= {"X-API-Key": token} if token.startswith("sk_") else {"Authorization": f"Bearer {token}"}
        try:
            answer = self._client.request(method, f"/api/v1{path}", json=body, headers=sent)
        except httpx.TransportError as error:
            raise CommandError(f"{self.base_url} does not answer ({type(error).__name__}).") from None
        if shown:
            print(_curl(method, f"{self.base_url}/api/v1{path}", sent, body))
            print(_answer(answer), flush=True)
        if answer.status_code != expected:
            raise CommandError(f"{method} {path} answered {answer.status_code}, not {expected}: {answer.text}")
        return answer.json()["data"]


def _curl(method: str, url: str, headers: dict[str, str], body: Any) -> str:
    parts = ["$ curl -s"]
    if method != ("GET" if body is None else "POST"):
        parts.append(f"-X {method}")
    parts += [f"-H '{name}: {_masked(value)}'" for name, value in headers.items()]
    if body is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(body, ensure_ascii=False)}'"]
    return " \\\n    ".join([f"{parts[0]} {url}", *parts[1:]])


def _answer(answer: httpx.Response) -> str:
    lines = [f"{answer.status_code} {answer.reason_phrase}"]
    lines += [f"{name}: {answer.headers[name]}" for name in SHOWN_HEADERS if name in answer.headers]
    # Numbers with decimals travel as marked strings, so that they are shown as they came.
    said = json.loads(answer.text, parse_float=lambda number: f"\x00{number}")
    text = re.sub(r'"\\u0000([^"]+)"', r"\1", json.dumps(_shortened(said), indent=2, ensure_ascii=True))
    return "\n".join([*lines, _folded(_masked(_readable(text)))])


def _readable(text: str) -> str:
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)


def _shortened(value: Any) -> Any:
    """Long lists by their beginning and end."""
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        shown = value if len(value) <= SHOWN_ENTRIES else [*value[:2], f"… {len(value) - 3} more", value[-1]]
        return [_shortened(inner) for inner in shown]
    return value


def _masked(text: str) -> str:
    return _SECRETS.sub(lambda found: f"{found[1] or found[2]}…", text)


def _folded(text: str) -> str:
    """Objects without nesting on one line where they fit, so that an answer reads at a glance."""
    flat = re.compile(r"[\[{]\n\s+[^\[\]{}]*?\n\s*[\]}]")
    return flat.sub(lambda found: _one_line(found[0]), text)


def _one_line(block: str) -> str:
    joined = " ".join(line.strip() for line in block.splitlines())
    return joined if len(joined) <= WIDTH - 10 else block
