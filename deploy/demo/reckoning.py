"""The reckoning: the POS database against PostgreSQL and the public topic, row by row and to the cent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from deploy.demo.pos import Ledger
from deploy.demo.watch import SeenSale
from fluxion.postgres import APP, connect
from schemas.events import EventSale


@dataclass(frozen=True)
class Reckoning:
    """What differs. lost and duplicated count sales; differences names the first few in words."""

    pos_sales: int
    postgres_sales: int
    sale_created: int
    pos_total: Decimal
    postgres_total: Decimal
    stock_differences: int
    lost: int
    duplicated: int
    wrong: int
    differences: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether all three sides say the same."""
        return (
            not (self.lost or self.duplicated or self.wrong or self.stock_differences)
            and self.pos_sales == self.postgres_sales == self.sale_created
            and self.pos_total == self.postgres_total
        )


def read_postgres(dsn: str, tenant_id: str) -> Ledger:
    """Read what the tenant sees in PostgreSQL, under its row policies."""
    with connect(dsn, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [tenant_id])
        sales = {
            row[0]: (row[1], row[2], row[3], row[4], row[5])
            for row in link.execute(
                "select s.external_id, s.number, t.external_id, s.subtotal, s.tax_total, s.total from fluxion.sales s"
                " left join fluxion.stores t on t.id = s.store_id where s.has_header and s.purged_at is null"
            )
        }
        lines = {
            row[0]: (row[1], row[2], row[3], row[4])
            for row in link.execute(
                "select i.external_id, s.external_id, i.sku, i.quantity, i.unit_price from fluxion.sale_items i"
                " join fluxion.sales s on s.id = i.sale_id where i.purged_at is null"
            )
        }
        stock = dict(
            link.execute("select external_id, quantity from fluxion.stock_levels where deleted_at is null").fetchall()
        )
    return Ledger(sales, lines, stock)


def reckon(pos: Ledger, postgres: Ledger, events: Mapping[str, SeenSale]) -> Reckoning:
    """Compare the three sides."""
    out: list[str] = []
    lost = {sale for sale in pos.sales if sale not in postgres.sales or sale not in events}
    lost |= {line[0] for key, line in pos.lines.items() if key not in postgres.lines}
    out += [f"sale {sale}: lost" for sale in sorted(lost)]
    doubled = {sale for sale in postgres.sales if sale not in pos.sales}
    doubled |= {sale for sale, seen in events.items() if len(seen.event_ids) > 1 or sale not in pos.sales}
    doubled |= {line[0] for key, line in postgres.lines.items() if key not in pos.lines}
    out += [f"sale {sale}: doubled" for sale in sorted(doubled)]
    wrong = [f"sale {key}: POS {sale}, PostgreSQL {postgres.sales[key]}"
             for key, sale in pos.sales.items() if key in postgres.sales and postgres.sales[key] != sale]  # fmt: skip
    wrong += [f"line {key}: POS {line}, PostgreSQL {postgres.lines[key]}"
              for key, line in pos.lines.items() if key in postgres.lines and postgres.lines[key] != line]  # fmt: skip
    wrong += _wrong_events(pos, events)
    stock = {key for key in pos.stock.keys() | postgres.stock.keys() if pos.stock.get(key) != postgres.stock.get(key)}
    out += wrong + [
        f"stock {key}: POS {pos.stock.get(key)}, PostgreSQL {postgres.stock.get(key)}" for key in sorted(stock)
    ]
    return Reckoning(
        pos_sales=len(pos.sales),
        postgres_sales=len(postgres.sales),
        sale_created=sum(len(seen.event_ids) for seen in events.values()),
        pos_total=pos.total,
        postgres_total=postgres.total,
        stock_differences=len(stock),
        lost=len(lost),
        duplicated=len(doubled),
        wrong=len(wrong),
        differences=out[:20],
    )


def _wrong_events(pos: Ledger, events: Mapping[str, SeenSale]) -> list[str]:
    """An event must show the total and every line of its sale: it is what the AI engine learns from."""
    lines: dict[str, list[tuple[str, Decimal, Decimal]]] = {}
    for sale, code, quantity, price in pos.lines.values():
        lines.setdefault(sale, []).append((code, quantity, price))
    out = []
    for key, seen in events.items():
        if key not in pos.sales:
            continue
        expected = (pos.sales[key][4], sorted(lines.get(key, [])))
        if _shown(seen.event.sale) != expected:
            out.append(f"event of sale {key}: shows {_shown(seen.event.sale)}, POS {expected}")
    return out


def _shown(sale: EventSale) -> tuple[Decimal, list[tuple[str, Decimal, Decimal]]]:
    shown = [
        (line.sku or "", Decimal(line.quantity or "NaN"), Decimal(line.unit_price or "NaN")) for line in sale.lines
    ]
    return Decimal(sale.total or "NaN"), sorted(shown, key=lambda line: line[0])


def latencies_ms(committed: Mapping[str, int], events: Mapping[str, SeenSale]) -> dict[str, float]:
    """From the return of the commit in the POS until a consumer held the event; p50, p95, max in milliseconds."""
    waits = sorted((events[sale].arrived - at) / 1000 for sale, at in committed.items() if sale in events)
    if not waits:
        return {"p50": 0.0, "p95": 0.0, "max": 0.0}
    at = {"p50": waits[len(waits) // 2], "p95": waits[min(len(waits) - 1, len(waits) * 95 // 100)], "max": waits[-1]}
    return {name: round(value, 1) for name, value in at.items()}
