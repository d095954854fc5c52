"""Every kind of mail can be looked at without sending one: as files, and in a browser where ENVIRONMENT is `dev`."""

from pathlib import Path
from typing import get_args

import pytest

from jobs.providers.configured import mail_transport
from jobs.providers.mail_kinds import MailKind
from jobs.providers.previews import previews
from settings import Settings, SettingsError
from tests.cli.programs import mts
from tests.servers import Urls
from tests.stack import serving, settings_for
from tests.visitors import TurnableClock


@pytest.fixture
def settings(urls: Urls, redis_url: str, tmp_path: Path) -> Settings:
    """The settings of an API process."""
    return settings_for(urls.api, redis_url, 1, tmp_path)


def test_every_kind_has_a_preview() -> None:
    assert {preview.kind for preview in previews().values()} == set(get_args(MailKind))


def test_the_command_writes_html_and_text_of_every_kind(tmp_path: Path) -> None:
    answer = mts("email", "preview", "--folder", str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    names = {f"{name}{ending}" for name in previews() for ending in (".html", ".txt")}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "<!doctype html>" in (tmp_path / "invoice.html").read_text()
    assert (tmp_path / "invoice.txt").read_text().startswith("Subject: ")


def test_one_kind_is_chosen_by_name_and_an_unknown_one_lists_the_known(tmp_path: Path) -> None:
    assert mts("email", "preview", "welcome", "--folder", str(tmp_path)).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"welcome.html", "welcome.txt"}
    answer = mts("email", "preview", "birthday")
    assert (answer.returncode, "The kinds are welcome, " in answer.stderr) == (2, True)


async def test_the_previews_are_served_in_dev_alone(settings: Settings) -> None:
    async with serving(settings, TurnableClock()) as (client, _):
        listed = await client.get("/dev/mail")
        assert listed.status_code == 200
        for name, preview in previews().items():
            assert f"/dev/mail/{name}/html" in listed.text
            page = await client.get(f"/dev/mail/{name}/html")
            assert page.text == preview.words.html
            assert "style-src 'unsafe-inline'" in page.headers["content-security-policy"]
            assert (await client.get(f"/dev/mail/{name}/text")).text.endswith(preview.words.text)
        assert (await client.get("/dev/mail/birthday/html")).status_code == 404
    async with serving(settings.model_copy(update={"environment": "production"}), TurnableClock()) as (client, _):
        assert (await client.get("/dev/mail")).status_code == 404
        assert (await client.get("/dev/mail/welcome/html")).status_code == 404


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"dkim_selector": "s1"}, "Give both, or neither"),
        ({"dkim_selector": "s1", "dkim_key_file": Path("/nowhere/key.pem")}, "Cannot be read"),
        ({"dkim_selector": "s1", "dkim_key_file": Path(__file__)}, "RSA private key in PEM"),
    ],
)
def test_a_dkim_key_that_cannot_sign_stops_the_start(settings: Settings, update: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        mail_transport(settings.model_copy(update=update))
