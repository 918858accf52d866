"""`fluxion status`: systems, stages and agents on one screen; a part that is down is named and the rest is shown."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from control.status import AgentState, State, SystemState, collect
from control.status_kafka import News
from control.status_text import Language, say, span
from fluxion.errors import DependencyDownError
from fluxion.log import setup_logging
from fluxion.settings import load_settings
from schemas.status import Status

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

WIDTH = 120
# A heartbeat comes far more often than that.
SILENT_AFTER = timedelta(minutes=5)


@app.command()
def status(
    *,
    lang: Annotated[Language, typer.Option(help="es or en")] = Language.SPANISH,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object; ages in seconds")] = False,
) -> None:
    """Show how everything stands. Exit 69 where a part is down."""
    settings = load_settings()
    setup_logging("status", settings.log_format)  # to standard error: what is printed here is the answer
    state = collect(settings, datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps(plain(state), ensure_ascii=False))
    else:
        _Screen(state, lang).show()
    if state.down:
        raise typer.Exit(DependencyDownError.exit_code)


def plain(state: State) -> dict[str, Any]:
    """Return the state as JSON takes it: every moment as its age in seconds."""
    return {
        "at": state.at.isoformat(),
        "systems": [_aged(asdict(system), state.at) | {"mode": mode_of(system, state)} for system in state.systems],
        "stages": {name: asdict(behind) if behind else None for name, behind in state.stages.items()},
        "agents": [
            _aged(asdict(agent), state.at) | _told(state.news.get(agent.system_id, News()), state.at)
            for agent in state.agents
        ],
        "down": state.down,
    }


def _aged(held: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        (name.removesuffix("_at") + "_s" if name.endswith("_at") else name): _age(value, now)
        if name.endswith("_at")
        else value
        for name, value in held.items()
    }


def _age(moment: datetime | None, now: datetime) -> float | None:
    return (now - moment).total_seconds() if moment is not None else None


def _told(news: News, now: datetime) -> dict[str, Any]:
    return {
        "heartbeat_s": _age(news.heartbeat_at, now),
        "job": msgspec.to_builtins(news.job) if news.job else None,
        "fault": msgspec.to_builtins(news.fault) if news.fault else None,
        "fault_s": _age(news.fault_at, now),
    }


def mode_of(system: SystemState, state: State) -> str:
    """Return paused, snapshot, real_time or silent: no sign of life lately."""
    news = state.news.get(system.id, News())
    agent = next((agent for agent in state.agents if agent.system_id == system.id), None)
    signs = [moment for moment in (news.heartbeat_at, agent and agent.seen_at, system.last_sync_at) if moment]
    if not system.active:
        return "paused"
    if news.job is not None:
        return "snapshot"
    return "real_time" if signs and state.at - max(signs) < SILENT_AFTER else "silent"


class _Screen:
    def __init__(self, state: State, language: Language) -> None:
        self._state = state
        self._language = language
        self._console = Console(width=max(Console().width, WIDTH), markup=False, highlight=False)
        self._names = {system.id: system.name for system in state.systems}

    def show(self) -> None:
        for part, why in self._state.down.items():
            self._console.print(self._say("down", part=part, why=why), style="bold red")
        self._print("systems", ("id", "system", "mode", "epoch", "last_sync", "quarantine", "pending"), self._systems())
        self._print("stages", ("stage", "waiting", "oldest"), self._stages())
        self._print("agents", ("system", "host", "seen", "heartbeat", "acknowledged"), self._agents())
        # Below the table and not in it, where a sentence would be cut into a column.
        for agent in self._state.agents:
            for line in self._doing(agent, self._state.news.get(agent.system_id, News())):
                self._console.print(f"{self._name(agent)}: {line}", soft_wrap=True)

    def _say(self, name: str, **values: object) -> str:
        return say(self._language, name, **values)

    def _print(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if "PostgreSQL" in self._state.down and title in {"systems", "agents"}:
            return
        if not rows:
            self._console.print(self._say(f"no_{title}"))
            return
        heads = (Column(self._say(name), no_wrap=name == "id") for name in columns)
        table = Table(*heads, title=self._say(title), title_justify="left")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def _systems(self) -> list[list[str]]:
        return [
            [
                system.id,
                system.name,
                self._say(mode_of(system, self._state)),
                str(system.epoch),
                self._ago(system.last_sync_at),
                str(system.quarantine),
                str(system.pending_deletes),
            ]
            for system in self._state.systems
        ]

    def _stages(self) -> list[list[str]]:
        rows = []
        for name, behind in self._state.stages.items():
            waiting = self._say("unknown") if behind is None else str(behind.records)
            oldest = "-" if behind is None or behind.oldest_s is None else span(behind.oldest_s)
            rows.append([self._say(name), waiting, oldest])
        return rows

    def _agents(self) -> list[list[str]]:
        return [self._agent(agent, self._state.news.get(agent.system_id, News())) for agent in self._state.agents]

    def _agent(self, agent: AgentState, news: News) -> list[str]:
        return [
            self._name(agent),
            agent.host or "-",
            self._ago(agent.seen_at),
            self._ago(news.heartbeat_at),
            str(agent.acknowledged),
        ]

    def _name(self, agent: AgentState) -> str:
        return self._names.get(agent.system_id, agent.system_id)

    def _doing(self, agent: AgentState, news: News) -> list[str]:
        said = [self._say("fenced")] if agent.fenced else []
        if news.fault is not None:
            words = "; ".join(text for text in (news.fault.code, news.fault.message, news.fault.mend) if text)
            said.append(f"{words} ({self._ago(news.fault_at)})")
        if news.job is not None:
            said.append(self._progress(news.job))
        return said

    def _progress(self, job: Status) -> str:
        left = "" if job.seconds_left is None else self._say("left", time=span(job.seconds_left))
        values = {"table": job.table or "…", "rows": job.rows or 0, "total": job.total or "?", "rate": job.rate or "?"}
        return self._say("progress", **values) + left

    def _ago(self, moment: datetime | None) -> str:
        if moment is None:
            return self._say("never")
        return self._say("ago", time=span((self._state.at - moment).total_seconds()))
