"""A system with one store, and the records that a processor would write for it."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer
from psycopg import Connection

from fluxion import kafka
from fluxion.postgres import APP, SINK, connect
from fluxion.schema_registry import SchemaRegistry
from schemas.codec import Encoder, schema_text
from schemas.identity import Entity, entity_id, version_of
from schemas.records import (
    CanonicalSet,
    Category,
    Deletion,
    DeletionKind,
    End,
    Movement,
    Payment,
    Product,
    Sale,
    SaleHeader,
    SaleLine,
    Since,
    Stock,
    Supplier,
    Tax,
)
from schemas.topics import RECORDS

TABLES = {
    "category": "categorias",
    "supplier": "proveedores",
    "product": "productos",
    "stock": "existencias",
    "movement": "movimientos",
    "sale": "ventas",
    "line": "detalle",
    "payment": "pagos",
    "tax": "impuestos",
}


@dataclass
class Shop:
    """Builds records in version order; pure, so that it serves tests with and without a stack."""

    tenant: str = field(default_factory=lambda: str(uuid.uuid4()))
    system: str = field(default_factory=lambda: str(uuid.uuid4()))
    store: str = field(default_factory=lambda: str(uuid.uuid4()))
    rows: int = 0

    def id(self, entity: Entity, *keys: object) -> str:
        return entity_id(self.system, entity, TABLES[entity], [str(key) for key in keys])

    def version(self) -> int:
        self.rows += 1
        return version_of(1, self.rows)

    def header(
        self,
        number: object,
        op: str = "upsert",
        /,
        *,
        snapshot: bool = False,
        deletion: str | None = None,
        **fields: Any,
    ) -> SaleHeader:
        said: dict[str, Any] = {
            "number": str(number),
            "sold_at": "2030-05-01T12:00:00Z",
            "subtotal": "30",
            "total": "34.8",
        }
        said = {} if op == "delete" else said | fields
        return SaleHeader(**self._change("sale", op, said, number, snapshot=snapshot, deletion=deletion), **said)

    def line(
        self,
        number: object,
        place: int,
        op: str = "upsert",
        *,
        snapshot: bool = False,
        deletion: str | None = None,
        **fields: Any,
    ) -> SaleLine:
        said: dict[str, Any] = {"sku": f"SKU-{place}", "quantity": "1", "unit_price": "10", "line_total": "10"}
        said = {} if op == "delete" else said | fields
        return SaleLine(**self._change("line", op, said, number, place, snapshot=snapshot, deletion=deletion), **said)

    def payment(self, number: object, place: int, op: str = "upsert", **fields: Any) -> Payment:
        said = {} if op == "delete" else {"method": "cash", "currency": "VES", "amount": "34.8"} | fields
        return Payment(**self._change("payment", op, said, number, place), **said)

    def tax(self, number: object, place: int, op: str = "upsert", **fields: Any) -> Tax:
        said = {} if op == "delete" else {"category": "general", "rate": "16", "base": "30", "amount": "4.8"} | fields
        return Tax(**self._change("tax", op, said, number, place), **said)

    def category(self, key: object, **fields: Any) -> Category:
        said = {"name": f"Category {key}"} | fields
        return Category(**self._change("category", "upsert", said, key), **said)

    def supplier(self, key: object, **fields: Any) -> Supplier:
        said = {"name": f"Supplier {key}", "tax_id": "J-07013380-5"} | fields
        return Supplier(**self._change("supplier", "upsert", said, key), **said)

    def product(self, key: object, op: str = "upsert", **fields: Any) -> Product:
        said = {} if op == "delete" else {"sku": f"SKU-{key}", "name": f"Product {key}", "selling_price": "10"} | fields
        return Product(**self._change("product", op, said, key), **said)

    def stock(self, key: object, quantity: str) -> Stock:
        said: dict[str, Any] = {"product_ref": self.id("product", key), "quantity": quantity}
        return Stock(**self._change("stock", "upsert", said, key), store_id=self.store, **said)

    def movement(self, key: object, quantity: str | None, **fields: Any) -> Movement:
        """A movement of product 1; without a quantity it is deleted."""
        said: dict[str, Any] = {"product_ref": self.id("product", 1), "kind": "entrada", "quantity": quantity}
        said = {} if quantity is None else said | fields
        op = "delete" if quantity is None else "upsert"
        store: dict[str, Any] = {} if quantity is None else {"store_id": self.store}
        return Movement(**self._change("movement", op, said, key), **store, **said)

    def sale(
        self,
        number: object,
        /,
        lines: int = 3,
        *,
        closed: bool = True,
        txn_end: bool = True,
        snapshot: bool = False,
        **fields: Any,
    ) -> Sale:
        return Sale(
            id=self.id("sale", number),
            store_id=self.store,
            header=self.header(number, snapshot=snapshot, **fields),
            lines=[self.line(number, place, snapshot=snapshot) for place in range(1, lines + 1)],
            closed=closed,
            txn_end=txn_end,
        )

    def of_sale(self, number: object, *, txn_end: bool = True, **parts: Any) -> Sale:
        """What a transaction said of a sale without its header."""
        said: dict[str, Any] = {"store_id": None, "header": None, "lines": []} | parts
        return Sale(id=self.id("sale", number), txn_end=txn_end, **said)

    def end(
        self, entity: Entity, first_version: int, kind: DeletionKind | None = None, since: str | None = None
    ) -> End:
        """The end of the entity's table; without a kind the record does not say what a deletion means."""
        return End(
            table=TABLES[entity],
            first_version=first_version,
            since=Since("fecha", since) if since else None,
            deletions=[Deletion(entity, kind)] if kind else [],
        )

    def record(self, revision: int = 1, **parts: Any) -> CanonicalSet:
        return CanonicalSet(system_id=self.system, mapping_revision=revision, source_offset=0, captured_at=0, **parts)

    def _change(
        self,
        entity: Entity,
        op: str,
        said: dict[str, Any],
        *keys: object,
        snapshot: bool = False,
        deletion: str | None = None,
    ) -> dict[str, Any]:
        return {
            "id": self.id(entity, *keys),
            "external_id": "|".join(map(str, keys)),
            "external_table": TABLES[entity],
            "op": op,
            "fields": list(said),
            "version": self.version(),
            "snapshot": snapshot,
            "deletion": deletion,
        }


class OpenShop:
    """A shop that is registered in PostgreSQL and writes to Kafka."""

    def __init__(self, dsn: str, servers: str, registry: str, **settings: Any) -> None:
        self.shop = Shop()
        self.dsn = dsn
        self.servers = servers
        self.registry = SchemaRegistry(registry)
        self._register(settings)
        self._encode: Encoder[CanonicalSet] = Encoder(
            "canonical_set", self.registry.schema_id(RECORDS.subject, schema_text("canonical_set"))
        )
        self.producer: Producer = kafka.producer(servers)
        self.link: Connection[tuple[Any, ...]] = connect(dsn, SINK)
        self.link.autocommit = True

    def send(self, *records: CanonicalSet) -> None:
        for record in records:
            self.send_raw(self._encode(record))
        assert self.producer.flush(30) == 0

    def send_raw(self, value: bytes) -> None:
        self.producer.produce(RECORDS.name, key=self.shop.system.encode(), value=value)
        self.producer.poll(0)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Query with `:tenant` in place of this shop's tenant."""
        return self.link.execute(query.replace(":tenant", f"'{self.shop.tenant}'").encode()).fetchall()

    def one(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def close(self) -> None:
        self.link.close()

    def _register(self, settings: dict[str, Any]) -> None:
        shop = self.shop
        with connect(self.dsn, APP) as link:
            link.execute("select set_config('fluxion.tenant_id', %s, true)", [shop.tenant])
            link.execute("insert into fluxion.tenants (tenant_id, name) values (%s, 'shop')", [shop.tenant])
            link.execute(
                "insert into pos_integration.pos_systems (tenant_id, id, system_type, system_name, connection_config,"
                " field_mappings, sync_settings) values (%s, %s, 'test', 'test', '{}', %s, %s)",
                [
                    shop.tenant,
                    shop.system,
                    json.dumps({"stock_origin": settings.pop("stock_origin", "captured")}),
                    json.dumps(settings),
                ],
            )
            link.execute(
                "insert into fluxion.stores (tenant_id, id, pos_system_id, name) values (%s, %s, %s, 'shop')",
                [shop.tenant, shop.store, shop.system],
            )
