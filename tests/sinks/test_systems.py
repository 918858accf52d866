"""One tenant's mistake in its settings is that tenant's alone."""

import json
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from fluxion.clock import SystemClock
from fluxion.postgres import APP, connect
from schemas.settings import SyncSettings
from sinks.systems import Systems, read_settings
from tests.sinks.conftest import SinkHere
from tests.sinks.shop import OpenShop

FROM = "2026-01-31T00:00:00-04:00"


@pytest.mark.parametrize(
    ("text", "expected", "named"),
    [
        ("{}", SyncSettings(), []),
        (f'{{"settle_seconds": 3, "announce_from": "{FROM}"}}', SyncSettings(3, FROM), []),
        ('{"announce_from": null}', SyncSettings(), []),
        (f'{{"settle_seconds": "abc", "announce_from": "{FROM}"}}', SyncSettings(60, FROM), ["settle_seconds"]),
        ('{"settle_seconds": 3, "announce_from": "soon"}', SyncSettings(3), ["announce_from"]),
        ('{"announce_from": "2026-01-31T00:00:00"}', SyncSettings(), ["announce_from"]),
        ('{"announce_from": 7, "settle_seconds": true}', SyncSettings(), ["announce_from", "settle_seconds"]),
        ('{"settle_seconds": 0.5}', SyncSettings(), ["settle_seconds"]),
        ('{"settle_seconds": 86401}', SyncSettings(), ["settle_seconds"]),
        ('{"settle": 3, "settle_seconds": 4}', SyncSettings(4), ["'settle', did you mean 'settle_seconds'?"]),
        ("[3]", SyncSettings(), ["sync_settings"]),
        ('{"settle_seconds": %s}' % ("9" * 5000), SyncSettings(), ["sync_settings"]),
    ],
)
def test_what_is_wrong_falls_back_and_is_named(text: str, expected: SyncSettings, named: list[str]) -> None:
    settings, faults = read_settings(text)
    assert settings == expected
    assert len(faults) == len(named)
    assert all(name in fault and len(fault) < 250 for name, fault in zip(named, faults, strict=True))


def _set(shop: OpenShop, settings: object) -> None:
    """Write settings past the check that stands where they are saved, as an older version or a hand may have."""
    with connect(shop.dsn, APP) as link:
        link.execute("select set_config('fluxion.tenant_id', %s, true)", [shop.shop.tenant])
        link.execute(
            "update pos_integration.pos_systems set sync_settings = %s where id = %s",
            [json.dumps(settings), shop.shop.system],
        )


def test_a_systems_bad_settings_leave_the_others_alone(open_shop: Callable[..., OpenShop], sink: SinkHere) -> None:
    good, bad = open_shop(settle_seconds=3), open_shop(settle_seconds=3)
    _set(bad, {"settle_seconds": "abc", "announce_from": "soon"})
    systems = Systems(SystemClock())
    with capture_logs() as lines:
        systems.refresh(good.link)
        systems.refresh(good.link, unknown=True)
    mine = [line for line in lines if line.get("system") == bad.shop.system]
    assert [line["log_level"] for line in mine] == ["warning"] * 2
    assert sorted(line["reason"].split()[0] for line in mine) == ["announce_from", "settle_seconds"]
    assert not [line for line in lines if line.get("system") == good.shop.system]
    owners = systems.get(good.shop.system), systems.get(bad.shop.system)
    assert [owner and owner.settle_seconds for owner in owners] == [3, 60]
    # psycopg refuses an array that mixes int and float, and with it every sale of the batch.
    assert all(owner and isinstance(owner.settle_seconds, float) for owner in owners)
    assert owners[1] is not None
    assert owners[1].announce_from == bad.one(
        "select created_at from pos_integration.pos_systems where tenant_id = :tenant"
    )
    for shop in (bad, good):
        shop.send(shop.shop.record(sales=[shop.shop.sale(1)]))
        sink.to_the_end(shop)
        assert shop.one("select count(*) from pos_integration.outbox where tenant_id = :tenant") == 1
