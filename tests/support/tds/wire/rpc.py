"""Procedure calls (MS-TDS 2.2.6.6): sp_executesql and the prepared statements, by which drivers send parameters."""

import re
import struct
from collections.abc import Sequence

from tests.support.tds.errors import SqlError
from tests.support.tds.results import Parameter
from tests.support.tds.wire import decode, tokens
from tests.support.tds.wire.decode import Reader
from tests.support.tds.wire.session import Outcome, Session

NUMBERED = {
    10: "sp_executesql",
    11: "sp_prepare",
    12: "sp_execute",
    13: "sp_prepexec",
    14: "sp_prepexecrpc",
    15: "sp_unprepare",
}
BY_NUMBER = 0xFFFF
BETWEEN_CALLS = (0x80, 0xFF)


class Calls:
    """The calls of one connection, and the statements that it prepared."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.statements: dict[int, tuple[str, str]] = {}  # handle -> declaration, text

    def answer(self, data: bytes) -> bytes:
        """Run the calls of one message."""
        reader = Reader(data, struct.unpack_from("<I", data)[0])
        out = b""
        while reader.more():
            name = _name(reader)
            reader.number("H")
            parameters = []
            while reader.more() and reader.peek() not in BETWEEN_CALLS:
                parameters.append(_parameter(reader))
            last = not reader.more()
            if not last:
                reader.number("B")
            out += self._one(name, parameters, last=last)
        return out

    def _one(self, name: str, parameters: list[Parameter], *, last: bool) -> bytes:
        before = self.session.database
        handle = parameters[0].name if parameters else ""
        returned = b""
        if name == "sp_prepexecrpc":  # {CALL name (?, ?)} as Microsoft's driver sends it
            returned = tokens.return_value(handle, 0)
            name, parameters = _called(str(parameters[1].value)), parameters[2:]
        outcomes, error = self._run(name, parameters)
        if name in {"sp_prepexec", "sp_prepare"}:
            returned = tokens.return_value(handle, len(self.statements))
        out = tokens.results(outcomes, tokens.DONE_IN_PROC, before)
        status = 0 if last else tokens.MORE
        if error is not None:
            out, status = out + tokens.error(error), status | tokens.ERROR
        return_status = struct.pack("<Bi", 0x79, 0)
        return out + return_status + returned + tokens.done(tokens.DONE_PROC, status, tokens.CALLED)

    def _run(self, name: str, parameters: Sequence[Parameter]) -> Outcome:
        if name == "sp_executesql":
            declared = parameters[1].value if len(parameters) > 1 else ""
            return self._execute(declared, parameters[0].value, parameters[2:])
        if name in {"sp_prepexec", "sp_prepare"}:
            declared, sql = parameters[1].value or "", parameters[2].value
            self.statements[len(self.statements) + 1] = declared, sql
            return self._execute(declared, sql, parameters[3:]) if name == "sp_prepexec" else ([], None)
        if name == "sp_execute":
            statement = self.statements.get(parameters[0].value)
            if statement is None:
                return [], SqlError(8179, f"Could not find prepared statement with handle {parameters[0].value}.")
            return self._execute(*statement, parameters[1:])
        return ([], None) if name == "sp_unprepare" else self.session.call(name, parameters)

    def _execute(self, declared: str | None, sql: str, parameters: Sequence[Parameter]) -> Outcome:
        """Run a text whose parameters a declaration names, such as '@P1 int,@P2 nvarchar(5)'."""
        names = [word.split()[0] for word in (declared or "").split(",") if word.strip().startswith("@")]
        for parameter, name in zip(parameters, names, strict=False):
            parameter.name = parameter.name or name
        return self.session.execute(sql, parameters)


def _name(reader: Reader) -> str:
    length = reader.number("H")
    if length == BY_NUMBER:
        number = reader.number("H")
        return NUMBERED.get(number, f"#{number}")
    return reader.take(2 * length).decode("utf-16-le").lower().rsplit(".", 1)[-1]


def _parameter(reader: Reader) -> Parameter:
    name = reader.b_varchar()
    reader.number("B")  # whether it is an output parameter; those of the numbered procedures are known
    return Parameter(name, *decode.parameter(reader))


def _called(text: str) -> str:
    """The procedure in '{CALL sys.sp_x (?, ?)}' or 'EXEC sys.sp_x ?, ?'."""
    found = re.search(r"(?:call|exec(?:ute)?)\s+([\w.\[\]]+)", text, re.IGNORECASE)
    return found.group(1) if found else text
