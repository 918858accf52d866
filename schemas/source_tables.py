"""A source's tables as its catalogue has them: what a template is checked against."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# What a source tells of a deleted row: all its columns, or its primary key alone.
DeletedRow = Literal["whole", "key"]


@dataclass(frozen=True)
class Table:
    """A table as the source has it; `key` is empty where it has no primary key."""

    columns: tuple[str, ...]
    key: tuple[str, ...]


Catalogue = Mapping[str, Table]
