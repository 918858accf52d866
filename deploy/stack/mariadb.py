"""MariaDB, the stand-in of a shop's database: row binlog with full images and column names, GTID, safe commits."""

from pathlib import Path
from string import Template

import pymysql

from deploy.stack.accounts import make_whole, own_folder, program, run
from deploy.stack.jars import RESOURCES
from deploy.stack.service import Service

PORT = 3306
USER = "mysql"
APP = "app"  # may do everything; also its password
CAPTURE = "cdc"  # has what capture needs and no more; also its password


def mariadb(home: Path, base_port: int) -> Service:
    """Describe the MariaDB of a stack; its url is that of the account `app`."""
    port = base_port + PORT

    def prepare() -> None:
        own_folder(home, USER)
        for name in ("my.cnf", "init.sql"):
            text = (RESOURCES / "mariadb" / name).read_text()
            (home / name).write_text(Template(text).substitute(home=home, port=port))
            (home / name).chmod(0o644)  # whatever root's umask: the account reads it
        make_whole(home / "data", install)

    def install(part: Path) -> None:
        # (normal: root's default way in is the socket of the system's own MariaDB)
        options = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
        installer = program("mariadb-install-db", "mariadb-server")
        # A folder of its own, that goes with the part: of an `up` that was killed the installer lives on, and deletes what it finds.
        temporary = part.with_name(f"{part.name}.tmp")
        own_folder(temporary, USER)
        run([installer, *options, f"--datadir={part}", f"--tmpdir={temporary}"], user=USER, cwd=home)

    def ready() -> bool:
        """As the capturing account, see the settings without which capture would lose rows."""
        link = pymysql.connect(host="127.0.0.1", port=port, user=CAPTURE, password=CAPTURE, connect_timeout=2)
        with link, link.cursor() as cursor:
            cursor.execute("select @@binlog_format, @@binlog_row_metadata, @@sync_binlog")
            return cursor.fetchone() == ("ROW", "FULL", 1)

    return Service(
        name="mariadb",
        port=port,
        url=f"mysql://{APP}:{APP}@127.0.0.1:{port}",
        home=home,
        user=USER,
        prepare=prepare,
        ready=ready,
        # --defaults-file keeps the system's own configuration out
        command=[program("mariadbd", "mariadb-server"), f"--defaults-file={home / 'my.cnf'}"],
    )
