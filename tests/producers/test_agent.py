import signal
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import Cloud
from tests.producers.conftest import Shop
from tests.producers.till import SCHEMA, Till, seen_as_stored, sell, shipped

pytestmark = pytest.mark.processes


@pytest.fixture
def till(cloud: Cloud, shop: Shop, tmp_path: Path) -> Till:
    shop.run(*SCHEMA.split(";"))
    return Till(cloud, shop, tmp_path / "agent")


def test_kill_9_in_the_middle_of_load_again_and_again(till: Till) -> None:
    done = threading.Event()
    seller = threading.Thread(target=sell, args=[till.shop, iter(range(1, 10**6)), done])
    seller.start()
    try:
        for seconds in (1.0, 1.4, 1.8, 2.2):  # in the start, in the snapshot, in the stream
            with till.running() as agent:
                time.sleep(seconds)
                agent.send_signal(signal.SIGKILL)
    finally:
        done.set()
        seller.join()
    with till.running():
        till.wait_until_current()
    seen_as_stored(till, "transactions", "transaction_details", "stock")


def test_sigterm_ends_it_cleanly_and_enrolling_again_changes_nothing(till: Till) -> None:
    before = (till.home / "agent.toml").read_text()
    till.enrol()
    assert (till.home / "agent.toml").read_text() == before
    with till.running() as agent:
        till.wait_until_current()
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(5) == 0


def test_it_comes_back_by_itself_when_the_connection_is_lost(till: Till) -> None:
    with till.at_work():
        till.wait_until_current()
        till.shop.run(*(f"kill {thread}" for thread in till.dumps()))
        till.shop.run("insert into categories values (1, 'after')")
        till.wait_until_current()
    assert ("categories", "1") in shipped(till)


def without_logs(text: str) -> str:
    """What a person is told: the shipper may have opened its session before the source's fault was found."""
    return "\n".join(line for line in text.strip().splitlines() if " [info " not in line)


def test_a_wrong_password_is_one_sentence_and_exit_78(till: Till) -> None:
    till.environment["FLUXION_SOURCE_PASSWORD"] = "wrong"
    for command in ("run", "check"):
        done = till.fluxion("agent", command, "--home", str(till.home), check=False)
        said = without_logs(done.stderr + done.stdout)
        assert done.returncode == (78 if command == "run" else 1)
        assert "refuses the account 'cdc'" in said
        assert "FLUXION_SOURCE_PASSWORD" in said
        assert "Traceback" not in done.stderr


def test_a_database_without_binlog_is_one_sentence_and_exit_78(
    cloud: Cloud, unprepared_shop: Shop, tmp_path: Path
) -> None:
    unprepared_shop.run(*SCHEMA.split(";"))
    till = Till(cloud, unprepared_shop.account("all on *.*"), tmp_path / "agent")
    done = till.fluxion("agent", "run", "--home", str(till.home), check=False)
    assert done.returncode == 78
    said = without_logs(done.stderr)
    assert said.startswith("fluxion: MariaDB writes no binary log; set log_bin = mysql-bin")
    assert "\n" not in said
