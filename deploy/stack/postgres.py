"""PostgreSQL: database `fluxion` and its owner for the project, database `registry` for the schema registry."""

import shutil
import signal
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.stack.accounts import make_whole, own_folder, run
from deploy.stack.service import Service
from fluxion.errors import ConfigurationError

PORT = 5433
USER = "postgres"
OWNER = "fluxion_owner"  # also its password
DATABASE, REGISTRY_DATABASE = "fluxion", "registry"

# The project's database demands passwords, so that a wrong one can be seen refused; the rest trusts this machine.
HBA = f"""\
host {DATABASE} all 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


def postgres(home: Path, base_port: int) -> Service:
    """Describe the PostgreSQL of a stack; its url is the owner's DSN."""
    port = base_port + PORT
    binaries = _binaries()

    def prepare() -> None:
        own_folder(home, USER)
        cluster = home / "data"
        make_whole(cluster, install)
        (cluster / "pg_hba.conf").write_text(HBA)

    def install(part: Path) -> None:
        options = ["-U", USER, "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        run([str(binaries / "initdb"), "-D", str(part), *options], user=USER, cwd=home)

    def ready() -> bool:
        with _superuser(port) as link:
            return link.execute("select 1").fetchone() == (1,)

    def when_ready() -> None:
        with _superuser(port) as link:
            _make_databases(link)

    return Service(
        name="postgres",
        port=port,
        url=f"postgresql://{OWNER}:{OWNER}@127.0.0.1:{port}/{DATABASE}",
        home=home,
        user=USER,
        prepare=prepare,
        ready=ready,
        when_ready=when_ready,
        command=[
            *(str(binaries / "postgres"), "-D", str(home / "data"), "-p", str(port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            *("-c", "wal_level=logical", "-c", "max_connections=200", "-c", "max_wal_size=2GB"),
        ],
        stop=signal.SIGINT,  # the fast shutdown; SIGTERM would wait until every client has left
    )


def _superuser(port: int) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host="127.0.0.1", port=port, user=USER, dbname="postgres", autocommit=True, connect_timeout=2
    )


def _make_databases(link: psycopg.Connection[tuple[object, ...]]) -> None:
    owner = sql.Identifier(OWNER)
    if link.execute("select from pg_roles where rolname = %s", (OWNER,)).fetchone() is None:
        # CREATEROLE: migrations make the roles that the processes act as. Not a superuser, and NOINHERIT: row policies must
        # hold for the owner too, who sees a tenant's rows only after it took a role.
        link.execute(sql.SQL("create role {} login noinherit createrole password {}").format(owner, sql.Literal(OWNER)))
    for name, its_owner in ((DATABASE, owner), (REGISTRY_DATABASE, sql.Identifier(USER))):
        if link.execute("select from pg_database where datname = %s", (name,)).fetchone() is None:
            link.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), its_owner))


def _binaries() -> Path:
    """Return the folder of the newest PostgreSQL: Debian keeps initdb and postgres outside every PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    other = shutil.which("initdb")
    if other is None:
        raise ConfigurationError("PostgreSQL is not installed", "run `make setup`, or apt-get install postgresql")
    return Path(other).resolve().parent
