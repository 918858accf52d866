"""What passes between the steps of a chain: frozen structs, and the faults that a row can have."""

from typing import ClassVar

from msgspec import Struct

from fluxion.errors import BusinessRuleError, DataValidationError, FluxionError, MappingError
from schemas.identity import Entity
from schemas.records import ChangeSet, DeletionKind, End
from schemas.template import Defaults

Values = dict[str, str | bool | None]


class Raw(Struct, frozen=True):
    """A record of pos.changes.v1 as Kafka gave it."""

    topic: str
    partition: int
    offset: int
    value: bytes


class Decoded(Struct, frozen=True):
    """A change set whose rows fit their layouts, with where it came from."""

    raw: Raw
    change_set: ChangeSet


class Draft(Struct, frozen=True):
    """One row's meaning for one entity, on its way to a canonical record.

    row: index into the change set's rows. values: field → value, only fields that were sent; never changed in place.
    unsent: fields that the template maps but the row's layout lacks. deletion: what a deleted row means, None for one that
    is there. sale_id: of a line, a tender or a tax, UNKNOWN_SALE where a deleted one does not say; store_id, closed,
    expected_lines: of a sale's header. live: see `records.Sale`.
    """

    row: int
    entity: Entity
    id: str
    external_id: str
    values: Values
    unsent: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    deletion: DeletionKind | None = None
    sale_id: str | None = None
    store_id: str | None = None
    closed: bool | None = None
    expected_lines: int | None = None
    live: bool = False


class Fault(Struct, frozen=True):
    """Why a row goes to quarantine, as far as one entity is concerned. id: of the record that it would have been."""

    row: int
    external_id: str | None
    error: FluxionError
    entity: Entity | None = None
    id: str | None = None


class EndFault(Struct, frozen=True):
    """Why the end of a table's snapshot cannot be passed on."""

    end: End
    error: FluxionError


class Mapped(Struct, frozen=True):
    """A change set read through a template: drafts in the order of the rows, and the rows that could not be taken.

    ends: those of mapped tables, with what a deleted row means there.
    """

    source: Decoded
    mapping_revision: int
    defaults: Defaults
    drafts: list[Draft]
    faults: list[Fault]
    ends: list[End] = []
    end_faults: list[EndFault] = []


class UnknownTableError(MappingError):
    """The template says nothing of a table that was captured."""

    code: ClassVar[str] = "UNKNOWN_TABLE"


class ColumnMissingError(MappingError):
    """The template needs a column that the row's layout lacks, or that holds what the field cannot be read from."""

    code: ClassVar[str] = "COLUMN_MISSING"


class KeyMissingError(DataValidationError):
    """A key column is null or blank, so the row has no identity."""

    code: ClassVar[str] = "KEY_MISSING"


class RequiredMissingError(DataValidationError):
    """A field without which the record says nothing is null."""

    code: ClassVar[str] = "REQUIRED_MISSING"


class OutOfRangeError(DataValidationError):
    """A value is larger or longer than PostgreSQL's column."""

    code: ClassVar[str] = "OUT_OF_RANGE"


class UnknownStoreError(BusinessRuleError):
    """The row names a store that the registry does not know."""

    code: ClassVar[str] = "UNKNOWN_STORE"
