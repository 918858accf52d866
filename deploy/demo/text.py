"""What the demo says, Spanish first, English by a switch."""

from typing import Literal

Language = Literal["es", "en"]

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Fluxion POS CDC · dos tiendas, una promesa", "Fluxion POS CDC · two shops, one promise"),
    "stage": ("etapa", "stage"),
    "count": ("cantidad", "count"),
    "process": ("proceso", "process"),
    "restarts": ("reinicios", "restarts"),
    "pos": ("ventas en las cajas (MariaDB)", "sales at the registers (MariaDB)"),
    "journal": ("transacciones en el diario de la tienda", "transactions in the store's journal"),
    "changes": (
        "envíos en Kafka, varias transacciones en uno · pos.changes",
        "records in Kafka, several transactions in one · pos.changes",
    ),
    "records": ("registros en Kafka · fluxion.records", "records in Kafka · fluxion.records"),
    "postgres": ("ventas en PostgreSQL", "sales in PostgreSQL"),
    "events": ("sale_created para la IA", "sale_created for the AI"),
    "total": ("total en PostgreSQL", "total in PostgreSQL"),
    "latency": ("de la caja a la IA (p50 · p95 · máx)", "from register to AI (p50 · p95 · max)"),
    "on_the_way": ("en camino", "on the way"),
    "agent": ("agente de la tienda", "store agent"),
    "processor": ("procesador (Faust)", "processor (Faust)"),
    "sink": ("sumidero a PostgreSQL", "sink into PostgreSQL"),
    "relay": ("relevo a la IA", "relay to the AI"),
    "up": ("en marcha", "running"),
    "down": ("CAÍDO, vuelve solo", "DOWN, comes back by itself"),
    "line_cut": ("LÍNEA CORTADA: la tienda sigue vendiendo", "LINE CUT: the shop sells on"),
    "line_ok": ("línea tienda-nube: bien", "line store-cloud: fine"),
    "keys": (
        "teclas: [a]gente [p]rocesador [s]umidero [r]elevo: matar con kill -9 · [c]ortar o reparar la línea · [q] terminar",
        "keys: [a]gent [p]rocessor [s]ink [r]elay: kill -9 · [c]ut or mend the line · [q] end",
    ),
    "preparing": ("Preparando los servicios y las dos tiendas…", "Preparing the services and the two shops…"),
    "snapshot": ("Primera copia del catálogo y de las existencias…", "First snapshot of catalogue and stock…"),
    "selling": ("Vendiendo…", "Selling…"),
    "draining": ("Tiendas cerradas; comparando fila por fila…", "Shops closed; comparing row by row…"),
    "agree": ("TODO CUADRA", "EVERYTHING AGREES"),
    "differ": ("NO CUADRA", "IT DOES NOT AGREE"),
    "sales_line": (
        "{pos} ventas en las cajas, {postgres} en PostgreSQL, {events} sale_created",
        "{pos} sales at the registers, {postgres} in PostgreSQL, {events} sale_created",
    ),
    "total_line": (
        "Bs {pos} en las cajas, Bs {postgres} en PostgreSQL",
        "Bs {pos} at the registers, Bs {postgres} in PostgreSQL",
    ),
    "lost_line": (
        "perdidas {lost}, duplicadas {duplicated}, con datos distintos {wrong}, existencias distintas {stock}",
        "lost {lost}, doubled {duplicated}, with other data {wrong}, stock levels that differ {stock}",
    ),
    "logs": ("registros de los procesos: {logs}", "the processes' logs: {logs}"),
}


def say(language: Language, name: str, **values: object) -> str:
    """Return a text in the language, filled in."""
    return TEXTS[name][0 if language == "es" else 1].format(**values)


def bolivares(amount: object, language: Language) -> str:
    """Write an amount as people in Venezuela do (1.234,56), or in English (1,234.56)."""
    text = f"{amount:,.2f}"
    return text.translate(str.maketrans(",.", ".,")) if language == "es" else text
