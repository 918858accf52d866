"""T-SQL types as they are declared; what the wire, the translation and the engine all speak of."""

from dataclasses import dataclass

MAX = -1


@dataclass(frozen=True)
class SqlType:
    """A type by its T-SQL name; `length` is in characters or bytes, MAX for (max)."""

    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0

    @property
    def is_national(self) -> bool:
        """Whether its text travels as UTF-16 (nchar, nvarchar) rather than in the code page."""
        return self.name in {"nchar", "nvarchar"}
