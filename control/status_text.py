"""What `fluxion status` says, Spanish first, English by a switch."""

from enum import StrEnum


class Language(StrEnum):
    """In which language."""

    SPANISH = "es"
    ENGLISH = "en"


TEXTS: dict[str, tuple[str, str]] = {
    "systems": ("Sistemas", "Systems"),
    "stages": ("Etapas", "Stages"),
    "agents": ("Agentes de las tiendas", "Store agents"),
    "system": ("sistema", "system"),
    "id": ("id", "id"),
    "mode": ("modo", "mode"),
    "epoch": ("época", "epoch"),
    "last_sync": ("última sincronización", "last sync"),
    "quarantine": ("en cuarentena", "quarantined"),
    "pending": ("borrados por confirmar", "deletes to confirm"),
    "stage": ("etapa", "stage"),
    "waiting": ("en espera", "waiting"),
    "oldest": ("el más antiguo", "oldest"),
    "processor": ("procesador · pos.changes", "processor · pos.changes"),
    "sink": ("sumidero · fluxion.records", "sink · fluxion.records"),
    "relay": ("relevo · bandeja de salida", "relay · outbox"),
    "host": ("equipo", "host"),
    "seen": ("último envío", "last shipment"),
    "heartbeat": ("última señal", "last sign of life"),
    "acknowledged": ("secuencia confirmada", "acknowledged sequence"),
    "paused": ("en pausa", "paused"),
    "real_time": ("tiempo real", "real time"),
    "snapshot": ("copia inicial", "snapshot"),
    "silent": ("sin señal", "no sign of life"),
    "never": ("nunca", "never"),
    "ago": ("hace {time}", "{time} ago"),
    "unknown": ("no se sabe", "not known"),
    "fenced": ("desplazado por otro agente", "fenced by another agent"),
    "progress": (
        "copiando {table}: {rows} de ~{total} filas, {rate} por segundo",
        "copying {table}: {rows} of ~{total} rows, {rate} a second",
    ),
    "left": (", faltan {time}", ", {time} left"),
    "no_systems": ("ningún sistema todavía: fluxion system add", "no system yet: fluxion system add"),
    "no_agents": ("ningún agente ha enviado todavía", "no agent has shipped yet"),
    "down": ("NO RESPONDE: {part}: {why}", "DOWN: {part}: {why}"),
}


def say(language: Language, name: str, **values: object) -> str:
    """Return a text in the language, filled in."""
    return TEXTS[name][0 if language is Language.SPANISH else 1].format(**values)


def span(seconds: float) -> str:
    """Write a length of time shortly: 12 s, 4 min, 3 h, 2 d."""
    size, unit = next(
        ((size, unit) for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")) if seconds >= size), (1, "s")
    )
    return f"{max(0, int(seconds // size))} {unit}"
