"""Programs and accounts: run as root (then MariaDB and PostgreSQL run under their own accounts) or as an ordinary user."""

import os
import pwd
import re
import shutil
import stat
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluxion.errors import ConfigurationError, DependencyDownError

# Debian's administration programs, which an ordinary user's PATH often lacks.
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
OPEN_FOLDER = 0o755
# What mariadb-install-db (a shell script) or Kafka's list of folders would take apart.
UNFIT_IN_PATH = re.compile(r"[\s,;#\\'\"]")


def program(name: str, package: str) -> str:
    """Return the path of a program; raises ConfigurationError naming the Debian package that brings it."""
    found = shutil.which(name) or shutil.which(name, path=SYSTEM_FOLDERS)
    if found is None:
        raise ConfigurationError(
            f"the program {name} is not installed", f"run `make setup`, or apt-get install {package}"
        )
    return found


def as_account(user: str | None) -> dict[str, Any]:
    """Return the Popen arguments that drop root to another account; nothing to drop when not root."""
    return {"user": user, "group": user, "extra_groups": []} if user and os.geteuid() == 0 else {}


def run(command: list[str], user: str | None = None, cwd: Path | None = None) -> str:
    """Run a program to its end and return its output; raises DependencyDownError with the end of what it said."""
    done = subprocess.run(
        command, cwd=cwd, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False, **as_account(user)
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-600:]
        raise DependencyDownError(
            f"{Path(command[0]).name} failed with {done.returncode} ({said})", "mend what it says"
        )
    return str(done.stdout).strip()


def open_home(home: Path) -> None:
    """Make the stack's home, or refuse one that another person owns or whose name a service would take apart."""
    if UNFIT_IN_PATH.search(str(home)):
        raise ConfigurationError(
            f"the path {home} has a space or a mark that the services cannot take",
            "choose another folder with --home",
        )
    if not home.exists() and not home.is_symlink():
        home.mkdir(parents=True)
        home.chmod(OPEN_FOLDER)  # whatever the umask: the database accounts must enter
    demand_own(home)


def demand_own(home: Path) -> None:
    """Raise ConfigurationError unless the home is ours, the link too if it is one (anybody can take a name in a shared folder)."""
    if home.lstat().st_uid != os.geteuid() or not home.exists() or home.stat().st_uid != os.geteuid():
        raise ConfigurationError(f"{home} belongs to another user", "choose another folder with --home")


def demand_entry(folder: Path, user: str) -> None:
    """Raise ConfigurationError where root would start a service under an account that is missing or cannot get in."""
    if os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise ConfigurationError(f"there is no account {user}", "run `make setup`") from None
    for parent in folder.parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise ConfigurationError(
                f"the account {user} cannot enter {parent}", f"chmod o+x {parent}, or choose another folder with --home"
            )


def own_folder(folder: Path, user: str) -> None:
    """Make a service's folder and, as root, give it to its account."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(folder, user, user)


def make_whole(target: Path, make: Callable[[Path], None]) -> None:
    """Make the folder `target` by `make(part)` unless it is there: whole or not at all.

    The part has a name that no earlier run used: of an `up` that was killed, the program that filled its part lives on.
    """
    if not target.exists():
        part = target.with_name(f"{target.name}.part-{uuid.uuid4().hex[:12]}")
        make(part)
        part.rename(target)
    # What that program still writes into goes with a later run.
    for left in target.parent.glob(f"{target.name}.part*"):
        shutil.rmtree(left, ignore_errors=True)
