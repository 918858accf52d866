"""The `fluxion` command: a table of sub-commands, each imported only when it is called.

So the agent in a store never loads faust or alembic, and `fluxion --help` answers at once.
"""

import sys
from importlib import import_module
from importlib.metadata import version

from fluxion.errors import FluxionError

INTERRUPTED, USAGE = 130, 2

# name → (module:typer app, what it does)
COMMANDS = {
    "demo": ("deploy.demo.cli:app", "two shops and every process on this machine, with a reckoning at the end"),
    "stack": ("deploy.stack.cli:app", "up, down, status: Kafka, schema registry, MariaDB, PostgreSQL without Docker"),
    "tail": ("control.tail:app", "follow a topic in clear text"),
    "tenant": ("control.cli:tenant_app", "add, list: who owns stores and systems"),
    "store": ("control.cli:store_app", "add, list: the shops of a system"),
    "system": ("control.cli:system_app", "add, list, check, prepare, replay, confirm-deletes: point-of-sale systems"),
    "token": ("control.token_cli:app", "create, list, revoke: who may speak to Fluxion over HTTP"),
    "quarantine": ("control.quarantine_cli:app", "list, show, retry, discard: rows that could not be taken"),
    "status": ("control.status_cli:app", "everything on one screen"),
    "mapping": ("control.mapping_cli:app", "columns, test, diff, save, schema: a system's template"),
    "agent": ("producers.cli:app", "enrol, check, run, status, resnapshot, rewind: capture in the store"),
    "processor": ("stream_processors.cli:app", "run: raw change sets to canonical records (Faust)"),
    "sink": ("sinks.cli:sink_app", "run: canonical records into PostgreSQL"),
    "relay": ("sinks.cli:relay_app", "run: what PostgreSQL committed to the public topics"),
    "db": ("sinks.db_cli:app", "migrate: tables, roles and row policies"),
    "topics": ("control.topics:app", "create: every topic with its settings"),
    "schemas": ("control.contracts:app", "register, check: the Avro contracts"),
}


def usage() -> str:
    """Return the overview that `fluxion --help` prints."""
    rows = "\n".join(f"  {name:<10} {what}" for name, (_, what) in COMMANDS.items())
    return f"fluxion: change data capture for points of sale\n\nUsage: fluxion COMMAND …\n\n{rows}\n\nfluxion COMMAND --help says more."


def main(arguments: list[str] | None = None) -> None:
    """Run a sub-command and exit. A FluxionError is one sentence on standard error and its exit code, never a trace."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage() + "\n")
        raise SystemExit(0 if words else USAGE)
    if words[0] == "--version":
        sys.stdout.write(version("fluxion-pos-cdc") + "\n")
        raise SystemExit(0)
    if words[0] not in COMMANDS:
        sys.stderr.write(f"fluxion: there is no command {words[0]!r}; `fluxion --help` lists them\n")
        raise SystemExit(USAGE)
    module, _, name = COMMANDS[words[0]][0].partition(":")
    try:
        getattr(import_module(module), name)(args=words[1:], prog_name=f"fluxion {words[0]}")
    except FluxionError as fault:
        sys.stderr.write(f"fluxion: {fault}\n")
        raise SystemExit(fault.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
