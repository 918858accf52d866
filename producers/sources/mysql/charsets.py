"""MariaDB's character sets as decoders that give exactly the text that a SELECT gives (tests ask the server byte by byte)."""

import codecs
from collections.abc import Callable
from functools import partial
from typing import Any

import pymysql

Decode = Callable[[bytes], str]

# MariaDB's latin1 is cp1252 with the five codes that cp1252 leaves open; Python's cp1252 leaves them open, too.
_LATIN1_GAPS = (0x81, 0x8D, 0x8F, 0x90, 0x9D)
_ONE_BYTE = {
    "ascii": "ascii", "cp850": "cp850", "cp852": "cp852", "cp1250": "cp1250", "cp1251": "cp1251", "cp1257": "cp1257",
    "koi8r": "koi8-r", "latin1": "cp1252", "latin2": "iso8859-2", "latin5": "iso8859-9", "latin7": "iso8859-13",
    "macce": "mac-latin2", "macroman": "mac-roman",
}  # fmt: skip
_UNICODE = {
    "utf8": "utf-8", "utf8mb3": "utf-8", "utf8mb4": "utf-8", "ucs2": "utf-16-be", "utf16": "utf-16-be",
    "utf16le": "utf-16-le", "utf32": "utf-32-be",
}  # fmt: skip
_BY_ID = "select * from information_schema.collation_character_set_applicability"
_BY_ID_BEFORE_10_10 = "select id, character_set_name from information_schema.collations"

BINARY = "binary"


def decoder(charset: str) -> Decode | None:
    """Return what turns stored bytes into text, or None for a character set that is not known exactly.

    The decoder raises UnicodeDecodeError for bytes that are no text in a Unicode character set.
    """
    if charset in _ONE_BYTE:
        return partial(_charmapped, table=_table(charset))
    if charset in _UNICODE:
        # (the method itself where the default does: it is called for every value)
        return bytes.decode if _UNICODE[charset] == "utf-8" else partial(bytes.decode, encoding=_UNICODE[charset])
    return None


def collations_of(cursor: "pymysql.cursors.Cursor") -> dict[int, str]:
    """Return the character set of every collation's number, as the table maps of this server's log use them."""
    cursor.execute(_BY_ID)
    names = [str(column[0]).lower() for column in cursor.description or ()]
    if "id" not in names:
        cursor.execute(_BY_ID_BEFORE_10_10)
        names = ["id", "character_set_name"]
    number, charset = names.index("id"), names.index("character_set_name")
    rows: list[Any] = list(cursor.fetchall())
    return {int(row[number]): str(row[charset]) for row in rows if row[number] is not None and row[charset]}


def _table(charset: str) -> str:
    """Return the text of all 256 bytes; one that means nothing there is a question mark, as in a SELECT."""
    letters = [bytes([code]).decode(_ONE_BYTE[charset], errors="replace") for code in range(256)]
    if charset == "latin1":
        for code in _LATIN1_GAPS:
            letters[code] = chr(code)
    return "".join(letters).replace("\N{REPLACEMENT CHARACTER}", "?")


def _charmapped(raw: bytes, table: str) -> str:
    return codecs.charmap_decode(raw, "strict", table)[0]
