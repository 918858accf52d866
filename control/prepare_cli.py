"""`fluxion system prepare`: the statements that let an agent capture a database, to be reviewed, or run after a question."""

import sys
from typing import Annotated, Any

import typer

from control import prepare_mysql, prepare_sqlserver
from control.prepare import Method, Script, Step, Target
from control.prepare_text import say
from control.status_text import Language
from fluxion.errors import ConfigurationError
from fluxion.postgres import STAGE, connect
from fluxion.registry import System, load_system
from fluxion.settings import Settings, load_settings
from producers.sources.choice import PORTS, kind_for
from schemas.mapping import Template, restore, tables

SQLSERVER = "sqlserver"


def prepare(  # noqa: PLR0913 -- one option a setting: that is what a command line is
    system: Annotated[str, typer.Argument(help="system id")],
    *,
    method: Annotated[Method | None, typer.Option(help="of SQL Server; default: change_tracking")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="the way back: only what prepare adds")] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="with --undo: also what others of the database or server may use")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="run it, after asking; SQL Server only")] = False,
    admin: Annotated[
        str | None, typer.Option(help="with --apply: who runs it; password: FLUXION_ADMIN_PASSWORD, or asked")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="with --apply: do not ask")] = False,
    host: Annotated[str | None, typer.Option(help="with --apply: where the database is reached from here")] = None,
    port: Annotated[int | None, typer.Option(help="its port")] = None,
    lang: Annotated[Language, typer.Option(help="es or en: the script's comments")] = Language.SPANISH,
) -> None:
    """Print the statements that an administrator of the database has to run; nothing is run without --apply.

    It needs no connection to that database: the template says what is read. The login's password is a placeholder; with
    --apply it is FLUXION_SOURCE_PASSWORD.
    """
    settings = load_settings()
    with connect(settings.database.get_secret_value(), STAGE) as link:
        found = load_system(link, system)
    template = restore(found.mapping)
    kind = found.connection.get("kind") or kind_for(template.databases)
    if everything and not undo:
        raise ConfigurationError("--everything is a part of --undo", "add --undo, or leave it out")
    known = found.connection.get("options", {}).get("method")
    if method is None and known in set(Method):
        method = Method(known)
    script = _script(kind, _target(found, template), method, lang, everything=everything if undo else None)
    typer.echo(script.text)
    if not undo and method not in {None, Method.CHANGE_TRACKING} and method != known:
        typer.echo(f"\n-- {say(lang, 'method', method=method)}")
    if not apply:
        return
    if kind != SQLSERVER:
        message = f"{found.name} is on MariaDB, where --apply runs nothing: half of it is the server's own file"
        raise ConfigurationError(message, "give the printed script to its administrator")
    if admin is None:
        raise ConfigurationError("--apply needs to know who runs it", "add --admin USER, an administrator's login")
    reached = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    changed = _apply(script, {**found.connection, **reached}, admin, settings, lang, asks=not yes)
    ended = "undone" if undo else "ended"
    typer.echo(say(lang, ended, done=changed, count=len(script.to_run), id=found.id))


def _target(system: System, template: Template) -> Target:
    known = system.connection
    return Target(
        system_id=system.id,
        system_name=system.name,
        database=known["database"],
        schema=known.get("options", {}).get("schema") or template.schema_ or "dbo",
        tables=tuple(sorted(tables(template))),
        user=known["user"],
    )


def _script(kind: str, target: Target, method: Method | None, language: Language, *, everything: bool | None) -> Script:
    """Return the script. everything: None: it prepares."""
    if kind == SQLSERVER:
        how = method or Method.CHANGE_TRACKING
        if everything is None:
            return prepare_sqlserver.prepare(target, how, language)
        return prepare_sqlserver.undo(target, how, language, everything=everything)
    if method is not None:
        message = f"--method is for SQL Server, and {target.system_name} is on MariaDB"
        raise ConfigurationError(message, "leave --method out: MariaDB is captured by its binary log")
    if everything is None:
        return prepare_mysql.prepare(target, language)
    return prepare_mysql.undo(target, language, everything=everything)


def _apply(
    script: Script, known: dict[str, Any], admin: str, settings: Settings, language: Language, *, asks: bool
) -> int:
    """Run it and return how many statements changed something."""
    # Imported only here: printing needs no driver.
    from control.prepare_apply import opened, run  # noqa: PLC0415 -- see above
    from producers.sources.sqlserver import SQLServerConfig  # noqa: PLC0415 -- see above

    steps = script.to_run
    password = settings.source_password.get_secret_value() if settings.source_password else ""
    if not password and any(step.needs_password for step in steps):
        message = "the login needs the password by which the agent will enter"
        raise ConfigurationError(message, "set FLUXION_SOURCE_PASSWORD")
    config = SQLServerConfig(
        host=known["host"],
        port=known.get("port") or PORTS[SQLSERVER],
        user=admin,
        database=known["database"],
        tables=frozenset(),
        password=_admin_password(settings, admin, language),
        driver=known.get("options", {}).get("driver"),
    )
    typer.echo()
    if asks:
        place = f"{config.address}/{config.database}"
        typer.confirm(say(language, "ask", count=len(steps), place=place, admin=admin), abort=True)

    def tell(place: int, step: Step, acted: bool | None) -> None:  # noqa: FBT001 -- the one thing there is to tell
        result = say(language, {True: "done", False: "nothing", None: "failed"}[acted])
        typer.echo(f"{place}/{len(steps)} {step.statement}: {result}")

    with opened(config) as link:
        return run(link, steps, password, tell)


def _admin_password(settings: Settings, admin: str, language: Language) -> str:
    if settings.admin_password is not None:
        return settings.admin_password.get_secret_value()
    if not sys.stdin.isatty():
        message = f"the password of {admin} is not known"
        raise ConfigurationError(message, "set FLUXION_ADMIN_PASSWORD, or run it on a terminal, which asks for it")
    return str(typer.prompt(say(language, "password", admin=admin), hide_input=True))
