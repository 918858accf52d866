"""sp_datatype_info: FreeTDS asks for a few types after the login, to bind parameters by."""

from tests.support.tds.results import Column, Result
from tests.support.tds.types import SqlType

KINDS = {"t": SqlType("nvarchar", 128), "s": SqlType("smallint"), "i": SqlType("int")}
LAYOUT = (
    "TYPE_NAME:t DATA_TYPE:s PRECISION:i LITERAL_PREFIX:t LITERAL_SUFFIX:t CREATE_PARAMS:t NULLABLE:s CASE_SENSITIVE:s "
    "SEARCHABLE:s UNSIGNED_ATTRIBUTE:s MONEY:s AUTO_INCREMENT:s LOCAL_TYPE_NAME:t MINIMUM_SCALE:s MAXIMUM_SCALE:s "
    "SQL_DATA_TYPE:s SQL_DATETIME_SUB:s NUM_PREC_RADIX:i INTERVAL_PRECISION:s USERTYPE:s"
)
KNOWN = {  # the ODBC type -> name, size, greatest scale
    12: ("varchar", 8000, None),
    -9: ("nvarchar", 4000, None),
    -3: ("varbinary", 8000, None),
    93: ("datetime2", 27, 7),
}


def datatype_info(wanted: int) -> Result:
    """Return what is known of one ODBC type; no row for the others."""
    columns = [Column(name, KINDS[kind]) for name, _, kind in (item.partition(":") for item in LAYOUT.split())]
    if wanted not in KNOWN:
        return Result(columns, [])
    name, size, scale = KNOWN[wanted]
    shown = {
        "TYPE_NAME": name,
        "LOCAL_TYPE_NAME": name,
        "DATA_TYPE": wanted,
        "SQL_DATA_TYPE": wanted,
        "PRECISION": size,
        "MAXIMUM_SCALE": scale,
        "NULLABLE": 1,
        "CASE_SENSITIVE": 0,
        "SEARCHABLE": 3,
        "MONEY": 0,
        "USERTYPE": 0,
    }
    return Result(columns, [[shown.get(column.name) for column in columns]])
