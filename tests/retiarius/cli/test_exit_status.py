"""SIGTERM ends a run as Ctrl-C does, and is the caller's again afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from retiarius.cli.exit_status import INTERRUPTED, end_on_sigterm, explain


@pytest.fixture(autouse=True)
def sigterm_as_it_was() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def test_sigterm_interrupts_and_is_then_as_it_was() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, end_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert explain(caught.value, (), ()) == (INTERRUPTED, "interrupted before the run began: repeat the same command")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_somebody_else_has_set_is_left_alone() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    with end_on_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]


def test_in_a_thread_nothing_is_set() -> None:
    def look() -> object:
        with end_on_sigterm():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(look).result() is signal.SIG_DFL
