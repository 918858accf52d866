"""The forms in which a template says where a value, a key or a reference comes from."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, Tag
from pydantic import GetJsonSchemaHandler as JsonHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

Scalar = str | int | bool
NUMBER_FORMATS = ("1.234,56", "1,234.56")


class Strict(BaseModel):
    """A part of a template: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _OneOrMany:
    """What may stand alone stands for a list of one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_many, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: JsonHandler) -> JsonSchemaValue:
        listed = handler(core)
        return {"anyOf": [listed["items"], listed]}


def _many(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


one_or_many = _OneOrMany()


def _spelled(value: object) -> object:
    """Take whole numbers as the words of a map, as YAML reads them: {1: completed, 2: voided}."""
    if not isinstance(value, dict):
        return value
    return {
        str(key) if isinstance(key, int) and not isinstance(key, bool) else key: ours for key, ours in value.items()
    }


Words = Annotated[dict[str, Scalar], Field(min_length=1), BeforeValidator(_spelled)]


class Constant(Strict):
    """`{value: invoice}`: the same for every row."""

    value: Scalar


class Column(Strict):
    """A column's value. In short form just its name.

    optional: an installation may lack the column. map: POS value → ours, `else` for any other; without `else` any other
    is null, or refused where the field takes certain words only. format: how ambiguous text reads: "1.234,56" or
    "1,234.56" for a number, strptime's letters for a time.
    """

    column: str
    optional: bool = False
    map: Words | None = None
    else_: Scalar | None = Field(None, alias="else")
    format: str | None = None


def _in_full(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


Named = Annotated[Column, BeforeValidator(_in_full, json_schema_input_type=str | Column)]


def _form(value: object) -> str:
    """Name the form of a field's value, so that a fault speaks of that form only."""
    if isinstance(value, Constant) or (isinstance(value, dict) and "value" in value):
        return "constant"
    if isinstance(value, Call) or (isinstance(value, dict) and ("call" in value or "columns" in value)):
        return "called"
    return "column"


Argument = Annotated[
    Annotated[Constant, Tag("constant")] | Annotated[Named, Tag("column")] | Annotated["Call", Tag("called")],
    Discriminator(_form),
]


class Call(Strict):
    """`{columns: [fecha, hora], call: date_and_time}`: what a function of `schemas.calls` makes of several columns.

    An argument is a column, a constant as `{value: "-"}`, or another call. optional: an installation may lack the columns;
    a row that lacks any of them does not carry the field.
    """

    columns: tuple[Argument, ...] = Field(min_length=1)
    call: str
    optional: bool = False


Value = Annotated[
    Annotated[Constant, Tag("constant")] | Annotated[Named, Tag("column")] | Annotated[Call, Tag("called")],
    Discriminator(_form),
]
AnyValue = Constant | Column | Call


class Primary(Strict):
    """`{primary: true}`: the table's own primary key, whatever the installation calls it."""

    primary: Literal[True]


Columns = Annotated[tuple[str, ...], Field(min_length=1), one_or_many]
Key = Annotated[
    Annotated[Primary, Tag("primary")] | Annotated[Columns, Tag("columns")],
    Discriminator(lambda value: "primary" if isinstance(value, dict | Primary) else "columns"),
]

# A part of another entity's key: a column, or a constant where this table lacks what the key also tells apart.
Parts = Annotated[tuple[str | Constant, ...], Field(min_length=1), one_or_many]


# Equality, or one of a list. Numbers are compared as numbers, text without the blanks on its right.
Scalars = Annotated[tuple[Scalar, ...], Field(min_length=1), one_or_many]
Where = dict[str, Scalars]


class Reference(Strict):
    """`{table, key}`: the key of an entity that several tables feed. optional: an installation may lack the columns.

    where: the rows that refer to it; in any other it is null. none: words that mean nothing, such as a 0 in the key's
    columns. otherwise: what the row refers to where this is null.
    """

    table: str | None = None
    key: Parts
    optional: bool = False
    where: Where = Field(default_factory=dict)
    none: Scalars | None = None
    otherwise: "Reference | None" = None


def _ref_form(value: object) -> str:
    return "reference" if isinstance(value, dict | Reference) else "columns"


Ref = Annotated[
    Annotated[Reference, Tag("reference")] | Annotated[Parts, Tag("columns")],
    Discriminator(_ref_form),
]


def referred(ref: Reference | tuple[str | Constant, ...]) -> Reference:
    """Return a reference in full."""
    return ref if isinstance(ref, Reference) else Reference(key=ref)
