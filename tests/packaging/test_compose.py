"""The composition: pinned, confined, no start without its secrets, and each process with its own role alone."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from settings import ROOT, Settings
from tests.packaging import compose
from tests.packaging.compose import MissingVariable, Service

SECRETS = {
    name: f"{number:02d}{name.lower().replace('_', '')}{'x' * 40}"
    for number, name in enumerate(sorted(compose.required()))
}
COMPOSITION = compose.load(SECRETS)
SERVICES: dict[str, Service] = COMPOSITION["services"]
OURS = ("migrate", "api", "worker")
STORES = ("postgres", "redis")
KEYS = {
    "build", "cap_drop", "command", "configs", "depends_on", "environment", "healthcheck", "image", "init", "logging",
    "networks", "pids_limit", "ports", "read_only", "restart", "security_opt", "shm_size", "stop_grace_period", "tmpfs",
    "volumes",
}  # fmt: skip


def test_the_services_are_those_of_the_house() -> None:
    assert set(SERVICES) == {*STORES, *OURS, "mail"}


@pytest.mark.parametrize("secret", sorted(compose.required()))
def test_it_refuses_to_start_without_a_secret_and_names_it(secret: str) -> None:
    with pytest.raises(MissingVariable, match=secret):
        compose.load(SECRETS | {secret: ""})


def test_no_secret_has_a_working_default() -> None:
    named = {n: m for n, m in compose.variables().items() if re.search(r"PASSWORD|SECRET|TOKEN|_KEY$|_SID$", n)}
    assert compose.required() <= set(named)
    assert [name for name, match in named.items() if match["kind"] == "-" and match["rest"]] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_nothing_that_compose_does_not_know(name: str) -> None:
    assert set(SERVICES[name]) <= KEYS
    assert set(COMPOSITION) - {"name", "services", "networks", "volumes", "configs"} == {
        key for key in COMPOSITION if key.startswith("x-")
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-alpine[\d.]*)?", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_gain_rights(name: str) -> None:
    assert "no-new-privileges:true" in SERVICES[name]["security_opt"]
    mounted = [mount.partition(":")[0] for mount in SERVICES[name].get("volumes", [])]
    assert all(source in COMPOSITION["volumes"] for source in mounted), "named volumes only, nothing of the host"


@pytest.mark.parametrize("name", OURS)
def test_our_processes_write_nothing_but_a_scratch_folder(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert [mount.partition(":")[0] for mount in SERVICES[name]["tmpfs"]] == ["/tmp"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_server_reports_its_health(name: str) -> None:
    if name in {"migrate", "worker"}:
        assert SERVICES[name]["healthcheck"] == {"disable": True}
    elif name != "api":  # the image brings the check of the API
        assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", OURS)
def test_a_process_starts_after_what_it_needs(name: str) -> None:
    conditions = {needed: rule["condition"] for needed, rule in SERVICES[name]["depends_on"].items()}
    stores = {"postgres": "service_healthy", "redis": "service_healthy"}
    wanted = (
        {"postgres": "service_healthy"}
        if name == "migrate"
        else {**stores, "migrate": "service_completed_successfully"}
    )
    assert conditions == wanted
    assert SERVICES[name]["restart"] == ("no" if name == "migrate" else "unless-stopped")


def test_the_stores_cannot_be_reached_from_outside_nor_reach_out() -> None:
    assert COMPOSITION["networks"]["inside"] == {"internal": True}
    assert all(SERVICES[name]["networks"] == ["inside"] and "ports" not in SERVICES[name] for name in STORES)


def test_what_is_published_listens_on_this_machine_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8025:8025", "127.0.0.1:8080:8080"]


def test_everything_declared_is_used_and_everything_used_is_declared() -> None:
    used = {mount.partition(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert used == set(COMPOSITION["volumes"])
    assert {net for service in SERVICES.values() for net in service["networks"]} == set(COMPOSITION["networks"])
    assert {c["source"] for s in SERVICES.values() for c in s.get("configs", [])} == set(COMPOSITION["configs"])


def test_the_data_of_postgres_18_lies_in_its_volume() -> None:
    assert SERVICES["postgres"]["image"].startswith("postgres:18")
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"], "18 keeps a folder per version below it"


@pytest.mark.parametrize(("name", "role"), [("api", "app_api"), ("worker", "app_worker"), ("migrate", "app_migrator")])
def test_a_process_connects_as_its_own_role(name: str, role: str) -> None:
    url = SERVICES[name]["environment"]["DATABASE_URL"]
    assert url == f"postgresql://{role}:{SECRETS[role.upper() + '_PASSWORD']}@postgres:5432/mts"


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_process_holds_no_other_role_s_password(name: str) -> None:
    own = {f"APP_{name.upper()}_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET"}
    held = str(SERVICES[name])
    assert {secret for secret, value in SECRETS.items() if value in held} == own


@pytest.mark.parametrize("name", ["api", "worker"])
def test_every_setting_reaches_the_process_and_is_understood(name: str) -> None:
    environment = SERVICES[name]["environment"]
    of_the_image = {"HOST", "PORT", "DATA_DIR"}
    assert set(environment) == {field.upper() for field in Settings.model_fields} - of_the_image
    settings = Settings.from_env(environment)
    assert settings.environment == "production"
    assert settings.smtp_url.get_secret_value() == "smtp://mail:1025"


def test_the_store_asks_for_the_password_that_the_processes_have() -> None:
    lines = COMPOSITION["configs"]["redis"]["content"].splitlines()
    assert f"requirepass {SECRETS['REDIS_PASSWORD']}" in lines
    assert "maxmemory-policy noeviction" in lines, "limits and quotas must not be forgotten silently"


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed here")
    env_file = tmp_path / "secrets.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))
    command: list[Any] = [docker, "compose", "--env-file", env_file, "config", "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True)
