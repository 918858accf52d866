"""Who bought, without a name: pure. Tickets carry RIFs, cédulas, passports and junk; none is a reason to refuse a sale."""

import hashlib
import re

from stdnum.ve import rif

from schemas.events import EventCustomer

_KINDS = frozenset("VEJPGC")
_SEPARATORS = re.compile(r"[\s.\-/]+")


def customer(tenant_id: str, tax_id: str | None) -> EventCustomer | None:
    """Return who bought; None where the ticket names nobody. The id is the same for a RIF however it is written."""
    said = _SEPARATORS.sub("", tax_id or "").upper()
    if not said:
        return None
    digest = hashlib.sha256(f"{tenant_id}{said}".encode()).hexdigest()
    kind = said[0] if said[0] in _KINDS and said[1:].isdecimal() else "none"
    return EventCustomer(id=digest, kind=kind, rif_valid=is_rif(said))


def is_rif(compact: str) -> bool:
    """Tell whether a RIF without separators is one: a communal one (C) counts as a company's (J)."""
    return bool(rif.is_valid("J" + compact[1:] if compact.startswith("C") else compact))


def masked(reference: str | None) -> str | None:
    """Return a tender's reference with all but its last four characters hidden."""
    return None if reference is None else "*" * (len(reference) - 4) + reference[-4:]
