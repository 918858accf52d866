"""What somebody did, for whoever asks later: one row in `pos_integration.audit_log`, which nobody changes or deletes."""

import json
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

_INSERT = """
insert into pos_integration.audit_log (tenant_id, actor, action, subject, detail) values (%s, %s, %s, %s, %s)
"""


@dataclass(frozen=True)
class Deed:
    """actor: `token:NAME` or a person's account. subject: the id of what was acted on. detail: no secret, no payload."""

    tenant_id: str
    actor: str
    action: str
    subject: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def note(link: Connection[tuple[Any, ...]], deed: Deed) -> None:
    """Write a deed down, in the caller's transaction; as `fluxion_stage`, or as `fluxion_app` for its tenant."""
    link.execute(_INSERT, [deed.tenant_id, deed.actor, deed.action, deed.subject, json.dumps(deed.detail)])
