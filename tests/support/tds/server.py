"""The command: arguments, databases, start and stop."""

import argparse
import asyncio
import logging
import signal
import sys

from tests.support.tds.certificate import tls_context
from tests.support.tds.engine.batch import Batches
from tests.support.tds.engine.databases import Databases
from tests.support.tds.engine.principals import Logins
from tests.support.tds.engine.session import Session
from tests.support.tds.instance import EDITIONS, Instance
from tests.support.tds.wire.connection import OpenSession, Welcome
from tests.support.tds.wire.listener import Listener
from tests.support.tds.wire.login import Login


def main() -> None:
    """Run the stand-in until SIGTERM or SIGINT."""
    options = arguments()
    level = logging.DEBUG if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    asyncio.run(serve(options))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="tests.support.tds", description="A stand-in for SQL Server, for tests.")
    add = parser.add_argument
    add("--listen", default="127.0.0.1:1433", metavar="HOST:PORT", help="port 0 takes a free one")
    add("--pg", required=True, metavar="DSN", help="a superuser of PostgreSQL, any database")
    add("--database", action="append", default=[], help="create this database if it is missing; repeatable")
    add("--fresh", action="store_true", help="drop every database of an earlier run first")
    add("--prefix", default="tds_", help="begins its databases' names: several servers may share one PostgreSQL")
    add("--edition", choices=sorted(EDITIONS), default="standard")
    add("--product-version", default="15.0.2000.5")
    add("--timezone", default="UTC", help="the server's local time, for GETDATE()")
    add("--user", default="sa")
    add("--password", default="Standin!2019")
    add("--no-tls", action="store_true")
    add("--verbose", action="store_true", help="log every statement to stderr")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Serve until a signal comes; says `ready on HOST:PORT` when clients may connect."""
    instance = Instance(options.edition, options.product_version, options.timezone)
    databases = Databases(options.pg, instance, options.prefix)
    prepare(databases, options)
    tls = None if options.no_tls else tls_context()
    entrance = _entrance(databases, options.user, options.password)
    listener = Listener(Welcome(entrance, instance.version, tls))
    host, port = options.listen.rsplit(":", 1)
    bound = await listener.start(host, int(port))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    sys.stdout.write(f"ready on {host}:{bound}\n")
    sys.stdout.flush()
    await stopping.wait()
    await listener.stop()


def prepare(databases: Databases, options: argparse.Namespace) -> None:
    """Make the databases that the options ask for."""
    if options.fresh:
        for name in databases.names():
            databases.drop(name)
    known = databases.names()
    for name in ("master", *options.database):
        if name.lower() not in known:
            databases.create(name)


def _entrance(databases: Databases, user: str, password: str) -> OpenSession:
    logins = Logins(databases)

    def open_session(who: Login, spid: int) -> Batches:
        if (who.user, who.password) != (user, password):
            logins.check(who.user, who.password, who.database)
        return Batches(Session(databases, who.database, spid, who.user))

    return open_session
