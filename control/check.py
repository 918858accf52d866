"""Whether a template fits a system's database and its stores; writes nothing."""

from typing import Any

from control.source import opened_source, place_of
from fluxion.errors import MappingError
from fluxion.registry import System
from producers.source import Fault
from schemas.mapping import Template, check, restore, tables
from schemas.source_tables import Catalogue


def check_system(system: System, password: str, reached: dict[str, Any]) -> list[Fault]:
    """Return every fault, warnings behind; `reached`: host and port where they differ from the registry's.

    Raises FluxionError where the database does not let us look.
    """
    template = restore(system.mapping)
    faults: list[Fault] = []
    with opened_source(system, tables(template), password, reached) as source:
        try:
            faults += source.check()
            faults += check_template(template, source.catalogue(), system, (password, reached))
        except MappingError as fault:
            faults.append(Fault(fault.code, fault.message, fault.mend))
    return sorted(faults, key=lambda fault: fault.warning)


def check_template(
    template: Template, catalogue: Catalogue, system: System, access: tuple[str, dict[str, Any]]
) -> list[Fault]:
    """Hold any template against the tables of a system's database; returns warnings, raises MappingError with every fault."""
    deleted = place_of(system, tables(template), *access).deleted_row
    lost = check(template, catalogue, len(system.stores), deleted)
    return [Fault("DELETES_UNKNOWN", one.message, one.mend, warning=True) for one in lost]
