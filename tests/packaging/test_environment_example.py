"""`.env.example` lists every setting, no other one, with the words and defaults of settings.py."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from settings import ROOT, Settings
from tests.packaging import compose

FILE = ROOT / ".env.example"
LINES = FILE.read_text().splitlines()
ENTRIES = {
    m[2]: (number, m[1], m[3]) for number, line in enumerate(LINES) if (m := re.match(r"(# )?([A-Z_]+)=(.*)$", line))
}
FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}
ONE_LINER = next(line.removeprefix("#").strip() for line in LINES if line.startswith("#   while"))


def test_it_lists_every_setting_and_nothing_unknown() -> None:
    migrations = compose.load(dict.fromkeys(compose.required(), "x"))["services"]["migrate"]["environment"]
    assert set(ENTRIES) == set(FIELDS) | set(compose.variables()) | set(migrations)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_setting_is_explained_in_the_words_of_the_code(name: str) -> None:
    described = FIELDS[name].description
    above = LINES[ENTRIES[name][0] - 1]
    assert above.startswith(f"# {described}" if described else "# ")


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_shown_default_is_the_default(name: str) -> None:
    _, comment, shown = ENTRIES[name]
    default = FIELDS[name].default
    if shown:
        assert comment, "what has a default stands there as a comment"
        assert shown == str(default)
    else:
        assert default in (PydanticUndefined, None, (), ROOT / ".data")


def test_what_stands_there_empty_is_what_compose_demands() -> None:
    assert {name for name, (_, comment, _) in ENTRIES.items() if not comment} == compose.required()
    assert all(value == "" for _, comment, value in ENTRIES.values() if not comment)


def test_its_one_liner_gives_every_secret_a_value_of_its_own(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed here")
    shutil.copy(FILE, tmp_path)
    subprocess.run(["/bin/sh", "-eu", "-c", ONE_LINER], cwd=tmp_path, check=True)
    made = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines() if re.match(r"[A-Z]", line))
    assert set(made) == compose.required()
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in made.values())
    assert Settings.from_env(compose.load(made)["services"]["api"]["environment"]).jwt_secret


def test_the_workflow_uses_the_same_one_liner() -> None:
    assert ONE_LINER in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
