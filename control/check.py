"""Whether a system's template fits its database and its stores; writes nothing."""

from typing import Any

from control.source import opened_source
from fluxion.errors import MappingError
from fluxion.registry import System
from schemas.mapping import check, restore, tables


def check_system(system: System, password: str, reached: dict[str, Any]) -> list[str]:
    """Return every fault as a sentence with its mend; `reached`: host and port where they differ from the registry's.

    Raises FluxionError where the database does not let us look.
    """
    template = restore(system.mapping)
    faults: list[str] = []
    with opened_source(system, tables(template), password, reached) as source:
        try:
            faults += [f"{fault.message}; {fault.mend}" for fault in source.check()]
            check(template, source.catalogue(), len(system.stores))
        except MappingError as fault:
            faults.append(str(fault))
    return faults
