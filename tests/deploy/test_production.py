"""compose.yaml and the systemd units: held against the command line, the settings and the services that the tests use.

There is no Docker engine where this was written, so the containers themselves were never run by a test.
"""

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from fluxion.cli import COMMANDS
from fluxion.settings import Settings
from tests.support import local

DEPLOY = local.ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("fluxion")}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXAMPLES = DEPLOY / "compose" / "secrets.example"
KNOWN = {f"FLUXION_{name.upper()}" for name in Settings.model_fields}
LONG_RUNNING = {"processor", "sink", "relay", "agent"}


def parses(words: list[str]) -> bool:
    """Whether the fluxion command takes these words; nothing is run."""
    module, _, name = COMMANDS[words[0]][0].partition(":")
    group = typer.main.get_command(getattr(import_module(module), name))
    context = group.make_context(words[0], words[1:2])
    sub = group.get_command(context, words[1])  # type: ignore[attr-defined]  # a typer app with sub-commands is a group
    return sub is not None and bool(sub.make_context(words[1], words[2:], parent=context))


def settings_in(text: str) -> set[str]:
    return set(re.findall(r"\bFLUXION_[A-Z_]+", text))


def started_by(unit: Path) -> list[str]:
    (line,) = re.findall(r"^ExecStart=/opt/fluxion/bin/fluxion (.*)$", unit.read_text(), re.MULTILINE)
    return str(line).replace("%i", "9101").split()


@pytest.mark.parametrize("name", OURS)
def test_a_containers_command_exists_in_the_command_line(name: str) -> None:
    assert parses(OURS[name]["command"])


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    assert not parses(["sink", "walk"])
    with pytest.raises(Exception, match="No such option"):
        parses(["sink", "run", "--faster"])


def test_every_setting_that_is_set_is_one_that_is_read() -> None:
    files = [DEPLOY / "compose.yaml", *EXAMPLES.iterdir(), *UNITS, DEPLOY / "Dockerfile"]
    for file in files:
        assert settings_in(file.read_text()) <= KNOWN, file.name
    assert settings_in((EXAMPLES / "agent.env").read_text()) == {"FLUXION_DATABASE", "FLUXION_SOURCE_PASSWORD"}


def test_ports_are_published_on_the_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_secret_stands_in_the_compose_file_and_each_has_its_example() -> None:
    environments = [service.get("environment", {}) for service in SERVICES.values()]
    assert not [
        key for environment in environments for key in environment if "PASSWORD" in key or key == "FLUXION_DATABASE"
    ]
    for service in SERVICES.values():
        for file in service.get("env_file", []):
            assert (EXAMPLES / Path(file).name).is_file()
    assert "/deploy/compose/secrets/" in (local.ROOT / ".gitignore").read_text()


def test_every_process_is_watched_restarted_and_given_time_to_stop() -> None:
    assert set(OURS) >= LONG_RUNNING
    for name in LONG_RUNNING:
        assert "/healthz" in OURS[name]["healthcheck"]["test"][-1]
        assert OURS[name]["restart"] == "unless-stopped"
        assert OURS[name]["stop_grace_period"] == "15s"
        assert OURS[name]["environment"]["FLUXION_METRICS_PORT"] in OURS[name]["healthcheck"]["test"][-1]
    assert {name for name, one in SERVICES.items() if "healthcheck" not in one} == {"migrate", "topics", "schemas"}
    assert OURS["processor"]["deploy"]["replicas"] == OURS["sink"]["deploy"]["replicas"] == 2


def test_services_and_volumes_that_are_named_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists()


@pytest.mark.parametrize(("service", "artifact"), [("kafka", "kafka"), ("registry", "registry")])
def test_the_services_have_the_versions_that_the_tests_use(service: str, artifact: str) -> None:
    version = SERVICES[service]["image"].rpartition(":")[2]
    assert f"<version>{version}</version>" in (DEPLOY / "stack" / "resources" / artifact / "pom.xml").read_text()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_units_command_exists_and_a_wrong_setting_is_not_tried_for_ever(unit: Path) -> None:
    assert parses(started_by(unit))
    assert {"Restart=always", "RestartPreventExitStatus=78", "NoNewPrivileges=true"} <= set(
        unit.read_text().splitlines()
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        there = unit.read_text().replace("/opt/fluxion/bin/fluxion", sys.executable)
        (tmp_path / unit.name).write_text(there)
    names = [str(tmp_path / unit.name) for unit in UNITS]
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names],
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    ours = [line for line in said.stderr.splitlines() if "fluxion" in line]
    assert (said.returncode, ours) == (0, [])
