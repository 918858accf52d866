"""The operator's page names every setting, every metric and every command that there is, and no other."""

import re
from importlib import import_module

import prometheus_client
import typer

from fluxion import errors, metrics
from fluxion.cli import COMMANDS
from fluxion.progress import RESTART_ME
from fluxion.settings import Settings
from schemas.settings import SyncSettings
from tests.support import local

PAGE = (local.ROOT / "docs" / "operation.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> list[str]:
    """The first column of a section's table, without its head."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1].strip().strip("`") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def metric_names() -> set[str]:
    ours = [one for one in vars(metrics).values() if isinstance(one, prometheus_client.metrics.MetricWrapperBase)]
    described = [family for one in ours for family in one.describe()]
    return {family.name + ("_total" if family.type == "counter" else "") for family in described}


def test_the_table_of_settings_is_the_settings() -> None:
    assert set(first_cells("Settings")) == {f"FLUXION_{name.upper()}" for name in Settings.model_fields}


def test_the_table_of_a_systems_settings_is_those() -> None:
    assert first_cells("Settings of a system") == list(SyncSettings.__struct_fields__)


def test_the_defaults_in_the_table_are_the_defaults() -> None:
    for name, field in Settings.model_fields.items():
        (default,) = re.findall(rf"^\| `FLUXION_{name.upper()}` \| `([^`]+)` \|", PAGE, re.MULTILINE) or [None]
        if isinstance(field.default, str):
            assert default == field.default


def test_the_table_of_metrics_is_the_metrics() -> None:
    assert set(first_cells("Metrics")) == metric_names()
    assert len(metric_names()) > 10


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {int(code) for code in first_cells("Exit codes")}
    of_errors = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.FluxionError)
    }
    assert of_errors | {0, 2, RESTART_ME} == codes


def test_every_command_of_the_page_exists() -> None:
    named = set(re.findall(r"`fluxion ([a-z]+)(?: ([a-z]+(?:-[a-z]+)*))?", PAGE))
    assert {("sink", "run"), ("quarantine", "list"), ("status", "")} <= named
    for command, sub in named:
        module, _, name = COMMANDS[command][0].partition(":")
        group = typer.main.get_command(getattr(import_module(module), name))
        if sub:
            assert sub in group.commands, (command, sub)  # type: ignore[attr-defined]  # a typer app with sub-commands
