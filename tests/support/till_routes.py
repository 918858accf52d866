"""A small API for the tests of the server: it echoes, it fails in every way, it reads what it is told to read."""

import asyncio
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fluxion.errors import BusinessRuleError, DependencyDownError, TwoAgentsError
from fluxion.http.routes import Answer, Call, Media, Route
from fluxion.http.tokens import Scope

MOST = 4096


class Line(BaseModel):
    code: str
    quantity: int = Field(gt=0)


class Ticket(BaseModel):
    """A ticket as a till sends it."""

    model_config = ConfigDict(extra="forbid")

    number: str = Field(description="as printed")
    lines: list[Line]


class Taken(BaseModel):
    """What came of it."""

    number: str
    lines: int
    asked_by: str | None = None


class OfSystem(BaseModel):
    """A system in the path."""

    system_id: UUID
    dry: bool = Field(default=False, description="only look")


async def take(call: Call) -> Taken:
    return Taken(number=call.body.number, lines=len(call.body.lines), asked_by=call.caller and call.caller.name)


async def take_of_system(call: Call) -> Answer:
    system = str(call.parameters.system_id)
    taken = Taken(number=call.body.number, lines=len(call.body.lines), asked_by=str(call.parameters.dry))
    return Answer(taken, status=202, subject=system)


async def size(call: Call) -> Taken:
    return Taken(number=call.raw[:8].decode(errors="replace"), lines=len(call.raw))


async def empty(_: Call) -> None:
    return None


async def fail(call: Call) -> None:
    match call.headers.get("X-Fail"):
        case "rule":
            raise BusinessRuleError("the day is closed", "open it")
        case "agents":
            raise TwoAgentsError("two agents: journal 7", "end one")
        case "down":
            raise DependencyDownError(
                "PostgreSQL does not answer (10.1.2.3:5432 fluxion_owner)", "check FLUXION_DATABASE"
            )
        case "slow":
            await asyncio.sleep(1)
        case said:
            raise KeyError(f"nobody expected {said}: {call.raw!r}")


def table() -> list[Route]:
    return [
        Route(
            method="POST", path="/tickets", name="take_ticket", summary="Hand in a ticket", handler=take, scope=None,
            request=Ticket, response=Taken, max_body=MOST, tag="tickets",
        ),
        Route(
            method="POST", path="/systems/{system_id}/tickets", name="take_ticket_of_system", tag="tickets",
            summary="Hand in a ticket of a system", handler=take_of_system, scope=Scope.WEBHOOK, parameters=OfSystem,
            request=Ticket, response=Taken, status=202, audit="ticket.take", about="It is *kept*.",
        ),
        Route(
            method="PUT", path="/raw", name="put_raw", summary="Hand in bytes", handler=size, scope=None,
            request=Media(("application/octet-stream", "application/json"), "anything"), response=Taken, max_body=MOST,
        ),
        Route(method="GET", path="/empty", name="empty", summary="Nothing", handler=empty, scope=None, status=204),
        Route(method="GET", path="/mine", name="mine", summary="Who am I", handler=empty, scope=Scope.READ, audit="mine.read"),
        Route(
            method="POST", path="/fail", name="fail", summary="Fail", handler=fail, scope=None, errors={TwoAgentsError: 409},
            request=Media(("application/json",)),
        ),
    ]  # fmt: skip
