"""The consumer in Java (tests/java): compiled once into the cache, run on the Java that the stack runs on."""

import hashlib
import subprocess
from pathlib import Path

from deploy.stack.accounts import run
from deploy.stack.jars import JAVA, QUICK_START, fetch_pom
from deploy.stack.state import locked
from tests.support.local import ROOT

SOURCES = ROOT / "tests" / "java"
MAIN = "SaleEventReader"
# That Java is a run time without javac, so the compiler is a jar among the others.
COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"
TIMEOUT_S = 60


def read_events(servers: str, registry: str, topic: str) -> list[str]:
    """Return the lines that the Java consumer prints: one a record of the topic, from its beginning to its end now."""
    jars = fetch_pom("sale-event-reader", SOURCES / "pom.xml")
    path = f"{_classes(jars)}:{jars}/*"
    done = subprocess.run(
        [JAVA, *QUICK_START, "-cp", path, MAIN, servers, registry, topic],
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _classes(jars: Path) -> Path:
    """Compile the sources unless these very ones are compiled already."""
    source = SOURCES / f"{MAIN}.java"
    target = jars / f"classes-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    with locked(jars):
        if not target.exists():
            part = target.with_suffix(".part")
            libraries = ":".join(str(jar) for jar in sorted(jars.glob("*.jar")))
            compiler = [JAVA, *QUICK_START, "-cp", f"{jars}/*", COMPILER]
            run([*compiler, "-21", "-proc:none", "-cp", libraries, "-d", str(part), str(source)])
            part.rename(target)
    return target
