"""The image: small, pinned, not root, made of the floors alone, and its health check tells the truth."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from settings import ROOT
from tests.packaging.dockerfile import Instruction, parse
from tests.packaging.hadolint_rules import RULES, of

TEXT = (ROOT / "Dockerfile").read_text()
PROGRAM = parse(TEXT)
FINAL = [instruction for instruction in PROGRAM if instruction.stage == PROGRAM[-1].stage]

BROKEN = {
    "DL3000": "WORKDIR app",
    "DL3001": "RUN vim x",
    "DL3002": "USER root",
    "DL3003": "RUN cd /x && ls",
    "DL3004": "RUN sudo ls",
    "DL3006": "FROM python",
    "DL3007": "FROM python:latest",
    "DL3008": "RUN apt-get install -y gcc",
    "DL3009": "RUN apt-get update && \\\n  apt-get install -y gcc=1",
    "DL3011": "EXPOSE 80000",
    "DL3012": "HEALTHCHECK NONE\nHEALTHCHECK NONE",
    "DL3013": "RUN pip install httpx",
    "DL3014": "RUN apt-get install gcc=1",
    "DL3015": "RUN apt-get install -y gcc=1",
    "DL3020": "ADD api api",
    "DL3021": "COPY a b c",
    "DL3022": "COPY --from=nowhere /a /b",
    "DL3025": "CMD serve",
    "DL3027": "RUN apt install x",
    "DL3029": "FROM --platform=linux/amd64 python:3.11.15-slim-trixie",
    "DL3042": "RUN pip install -r x",
    "DL3045": "COPY api api",
    "DL3059": "RUN a\nRUN b",
    "DL4000": "MAINTAINER me",
    "DL4003": 'CMD ["a"]\nCMD ["b"]',
    "DL4004": 'ENTRYPOINT ["a"]\nENTRYPOINT ["b"]',
    "DL4006": "RUN a | b",
}


@pytest.mark.parametrize("rule", RULES)
def test_the_dockerfile_keeps_every_rule(rule: str) -> None:
    assert not RULES[rule](PROGRAM)


@pytest.mark.parametrize("rule", RULES)
def test_a_dockerfile_that_breaks_the_rule_is_caught(rule: str) -> None:
    assert RULES[rule](parse("FROM python:3.11.15-slim-trixie\n" + BROKEN[rule[:6]]))


def test_no_rule_is_switched_off_inside() -> None:
    assert "hadolint ignore" not in TEXT


def test_every_base_image_is_pinned_to_a_patch_release_and_a_variant() -> None:
    images = {source.arguments[0] for source in of(PROGRAM, "FROM")}
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", image) for image in images)
    assert len(images) == 1, "the libraries must be installed for the Python that runs them"


def test_libraries_come_by_hash_and_are_never_compiled() -> None:
    install = next(run.text for run in of(PROGRAM, "RUN") if "install" in run.text)
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(install.split())
    assert not {"apt-get", "apk", "gcc"} & set(TEXT.split())


def test_the_image_holds_the_floors_and_nothing_else() -> None:
    copied = {source for copy in of(FINAL, "COPY") if "from" not in copy.flags for source in copy.arguments[:-1]}
    floors = {"cli", "api", "jobs", "db", "sql", "templates", "static", "settings.py", "LICENSE"}
    assert copied == floors
    assert all((ROOT / name).exists() for name in floors)


def test_the_builder_is_sent_only_what_is_copied() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {source for copy in of(PROGRAM, "COPY") if "from" not in copy.flags for source in copy.arguments[:-1]}
    assert "*" in ignore
    assert {line[1:] for line in ignore if line.startswith("!")} == copied


def test_no_secret_is_baked_in() -> None:
    named = [i.text for i in of(PROGRAM, "ENV", "ARG") if re.search(r"PASSWORD|SECRET|TOKEN|_KEY|_URL", i.text)]
    assert named == []


def test_it_serves_unless_told_otherwise() -> None:
    assert [i.arguments for i in of(FINAL, "ENTRYPOINT", "CMD")] == [["python", "-m", "cli"], ["serve"]]


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
def test_the_health_check_believes_only_a_200(status: int, healthy: bool) -> None:
    with _server_answering(status) as (port, paths):
        assert (_health_check(port) == 0) is healthy
        assert paths == ["/livez"]


def test_the_health_check_fails_when_nothing_listens() -> None:
    with _server_answering(200) as (port, _):
        pass
    assert _health_check(port) != 0


def _health_check(port: int) -> int:
    check = of(FINAL, "HEALTHCHECK")[0]
    command = Instruction("CMD", check.text.partition(" CMD ")[2], 0).arguments
    environment = os.environ | {
        "PORT": str(port),
        "HTTP_PROXY": "http://192.0.2.1:1",
        "http_proxy": "http://192.0.2.1:1",
    }
    return subprocess.run(
        [sys.executable, *command[1:]], env=environment, stderr=subprocess.DEVNULL, check=False
    ).returncode


@contextmanager
def _server_answering(status: int) -> Iterator[tuple[int, list[str]]]:
    paths: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output to itself."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, paths
        server.shutdown()
        thread.join()
