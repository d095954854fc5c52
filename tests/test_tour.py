"""The main job, end to end over real sockets, as `mts tour` walks it – and as README.md shows it."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from cli.tour_steps import months_to_close
from settings import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"<!-- tour -->\n(.*?)<!-- /tour -->", re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_tour_reaches_its_end_and_the_readme_shows_it() -> None:
    walked = subprocess.run(
        [sys.executable, "-m", "cli", "tour"], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert walked.returncode == 0, walked.stdout[-3000:] + walked.stderr[-3000:]
    assert "That was the whole way." in walked.stdout
    if os.environ.get("UPDATE_README"):
        text = README.read_text()
        shown = _port_8080(walked.stdout).strip()
        README.write_text(BLOCK.sub(lambda _: f"<!-- tour -->\n```console\n{shown}\n```\n<!-- /tour -->", text))
    if len(months_to_close(datetime.now(UTC).date())) > 1:
        return  # on the last days of a month the tour closes two, and looks different
    found = BLOCK.search(README.read_text())
    assert found is not None
    assert _skeleton(found[1].replace("```console\n", "").replace("```\n", "")) == _skeleton(walked.stdout)


def _port_8080(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+(?=/api)", "127.0.0.1:8080", text)


def _skeleton(text: str) -> list[str]:
    """The lines without what differs from run to run: ids, tokens, times, figures, and how objects are folded."""
    text = re.sub(r"(/pay/)\w+", r"\1ID", text)
    text = re.sub(r"(msg_|sk_live_)[0-9a-f…]+|eyJ[\w.…-]+|[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    text = re.sub(r"\d+(?:[.,:]\d+)*", "N", text)
    joined = re.sub(r"\s+", " ", text)
    return [part.strip() for part in re.split(r"── N\. ", joined) if part.strip()]
