"""The present contracts against those that were released (schemas/baseline): what would break, a line each."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from control.compatibility import Fault, unreadable, unsound
from schemas.codec import schema_text
from schemas.topics import TOPICS, Topic

# Release → contract → schema.
Releases = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Break:
    """What a change of a contract would break. release: None where the contract is wrong by itself."""

    contract: str
    release: str | None
    message: str
    mend: str

    def __str__(self) -> str:
        """Return one line: the contract, what is wrong, what mends it."""
        return f"{self.contract}: {self.message}; {self.mend}"


def released() -> dict[str, dict[str, Any]]:
    """Return the contracts of every release, the oldest first."""
    found: dict[str, dict[str, Any]] = {}
    folder = files("schemas").joinpath("baseline")
    for release in sorted(
        (entry for entry in folder.iterdir() if entry.is_dir()), key=lambda entry: _order(entry.name)
    ):
        texts = {entry.name: entry.read_text(encoding="utf-8") for entry in release.iterdir()}
        found[release.name] = {name.removesuffix(".avsc"): json.loads(text) for name, text in sorted(texts.items())}
    return found


def _order(release: str) -> list[int]:
    return [int(part) for part in release.split(".")]


def present() -> dict[str, Any]:
    """Return the contracts as they are now."""
    return {topic.schema: json.loads(schema_text(topic.schema)) for topic in TOPICS if topic.schema is not None}


def breaks(contracts: Mapping[str, Any], releases: Releases, topics: tuple[Topic, ...] = TOPICS) -> list[Break]:
    """Return everything that the present contracts would break, over all releases."""
    public = {topic.schema for topic in topics if topic.public}
    found = [
        Break(name, None, f"{fault.place}: {fault.message}", fault.mend)
        for name, schema in contracts.items()
        for fault in unsound(schema)
    ]
    for release, schemas in releases.items():
        for name, old in schemas.items():
            if name not in contracts:
                message = f"it was released with {release} and is gone, but its records stay in their topic"
                found.append(Break(name, release, message, "keep it until a new version of the topic replaces it"))
                continue
            found += _between(name, release, contracts[name], old, both=name in public)
    return found


def _between(name: str, release: str, new: Any, old: Any, *, both: bool) -> Iterator[Break]:
    for fault in unreadable(new, old):
        yield _break(name, release, fault, f"records written by {release} can no longer be read")
    for fault in unreadable(old, new) if both else ():
        yield _break(name, release, fault, f"consumers of {release} can no longer read")


def _break(name: str, release: str, fault: Fault, effect: str) -> Break:
    return Break(name, release, f"{effect} at {fault.place}: {fault.message}", fault.mend)
