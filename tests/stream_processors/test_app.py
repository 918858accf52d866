"""What surrounds Faust: what a worker needs before it starts, with what it ends, and what of Faust's talk is passed on."""

import logging
import threading
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from fluxion.clock import SystemClock
from fluxion.errors import ConfigurationError
from fluxion.progress import Progress
from schemas.topics import RECORDS
from stream_processors import app
from tests.conftest import Cloud


def test_a_topic_that_is_missing_is_named_before_a_worker_joins(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_processors.app.RECORDS", replace(RECORDS, name="fluxion.nowhere.v1"))
    clock = SystemClock()
    with pytest.raises(ConfigurationError, match=r"no topic fluxion\.nowhere\.v1.*`fluxion topics create`"):
        app._wait_for_topics(cloud.stack.kafka, Progress(clock), clock)


@pytest.mark.parametrize(
    ("end", "status", "reasons"),
    [
        (SystemExit(0), 0, []),
        (SystemExit(), 0, []),
        (SystemExit(1), 70, ["Faust ends with status 1"]),
        (RuntimeError("the loop is closed"), 70, ["RuntimeError: the loop is closed"]),
    ],
)
def test_a_worker_that_no_signal_ended_is_started_again(end: BaseException, status: int, reasons: list[str]) -> None:
    with capture_logs() as lines:
        assert app._status_after(end) == status
    assert [line["reason"] for line in lines] == reasons


def test_what_faust_logs_is_one_line_with_its_reason() -> None:
    handler = app._ToStructlog()

    def said(level: int, text: str, exc_info: Any = None) -> tuple[str, str]:
        with capture_logs() as lines:
            handler.emit(logging.LogRecord("faust", level, "x.py", 1, text, None, exc_info))
        (line,) = lines
        return line["log_level"], line["event"]

    assert said(logging.WARNING, "Timer late:\n  by 2 s") == ("warning", "Timer late: by 2 s")
    assert said(logging.CRITICAL, "Crashed", (None, None, None)) == ("error", "Crashed")
    fault = OSError("no space left")
    assert said(logging.ERROR, "Crashed", (OSError, fault, None)) == ("error", "Crashed (OSError: no space left)")


def test_a_thread_that_ends_by_a_fault_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", app._say_thread_ended)

    def fails() -> None:
        raise RuntimeError("Kafka is gone")

    with capture_logs() as lines:
        thread = threading.Thread(target=fails, name="aiokafka")
        thread.start()
        thread.join()
    assert [(line["thread"], line["reason"]) for line in lines] == [("aiokafka", "RuntimeError: Kafka is gone")]
