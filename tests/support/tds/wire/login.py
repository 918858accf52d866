"""What is said before the first statement: PRELOGIN (MS-TDS 2.2.6.5) and LOGIN7 (2.2.6.4)."""

import struct
from dataclasses import dataclass

from tests.support.tds.wire import tokens
from tests.support.tds.wire.encode import COLLATION

OFF, ON, NOT_SUPPORTED, REQUIRED = 0, 1, 2, 3  # encryption
TDS_7_4 = 0x74000004
USER, PASSWORD, DATABASE = 1, 2, 8  # places in LOGIN7's table of offsets
HAS_FEATURES = 0x10


@dataclass(frozen=True)
class Login:
    """What a client said in LOGIN7."""

    user: str
    password: str
    database: str
    tds_version: int
    packet_size: int
    asks_features: bool


def encryption(prelogin: bytes, *, can_encrypt: bool) -> int:
    """Return what the server answers: ON for the whole connection, OFF for the login alone, or NOT_SUPPORTED."""
    asked = _options(prelogin).get(1, bytes((NOT_SUPPORTED,)))[0]
    if not can_encrypt or asked == NOT_SUPPORTED:
        return NOT_SUPPORTED
    return OFF if asked == OFF else ON


def _options(prelogin: bytes) -> dict[int, bytes]:
    options, at = {}, 0
    while prelogin[at] != 0xFF:
        code, offset, length = struct.unpack(">BHH", prelogin[at : at + 5])
        options[code] = prelogin[offset : offset + length]
        at += 5
    return options


def prelogin_answer(version: tuple[int, int, int], encrypt: int) -> bytes:
    """The server's PRELOGIN; option 4 says that there is no MARS."""
    body = {0: struct.pack(">BBHH", *version, 0), 1: bytes((encrypt,)), 2: b"\0", 3: b"", 4: b"\0"}
    head, payload, start = b"", b"", 5 * len(body) + 1
    for code, value in body.items():
        head += struct.pack(">BHH", code, start + len(payload), len(value))
        payload += value
    return head + b"\xff" + payload


def parse(data: bytes) -> Login:
    """Read LOGIN7; the password comes scrambled."""

    def raw(place: int) -> bytes:
        offset, length = struct.unpack_from("<HH", data, 36 + 4 * place)
        return data[offset : offset + 2 * length]

    def text(place: int) -> str:
        return raw(place).decode("utf-16-le", "replace")

    password = bytes((((byte ^ 0xA5) << 4) & 0xF0) | ((byte ^ 0xA5) >> 4) for byte in raw(PASSWORD))
    version, packet_size = struct.unpack_from("<II", data, 4)
    return Login(
        user=text(USER),
        password=password.decode("utf-16-le", "replace"),
        database=text(DATABASE) or "master",
        tds_version=min(version, TDS_7_4),
        packet_size=min(max(packet_size or 4096, 512), 32_767),
        asks_features=bool(data[27] & HAS_FEATURES),
    )


def login_answer(login: Login, version: tuple[int, int, int], database: str) -> bytes:
    """The token stream that welcomes a client."""
    acknowledged = b"\x01" + struct.pack(">I", login.tds_version) + tokens.b_varchar("Microsoft SQL Server\0\0")
    acknowledged += struct.pack(">BBH", *version)
    size = tokens.b_varchar(str(login.packet_size))
    parts = [
        tokens.database_change(database, "master"),
        tokens.env_change(tokens.ENV_COLLATION, b"\x05" + COLLATION, b"\0"),
        tokens.env_change(tokens.ENV_LANGUAGE, tokens.b_varchar("us_english"), b"\0"),
        tokens.info(5703, "Changed language setting to us_english."),
        struct.pack("<BH", 0xAD, len(acknowledged)) + acknowledged,
        tokens.env_change(tokens.ENV_PACKET_SIZE, size, tokens.b_varchar("4096")),
        b"\xae\xff" if login.asks_features else b"",  # acknowledges none of them
        tokens.done(tokens.DONE),
    ]
    return b"".join(parts)
