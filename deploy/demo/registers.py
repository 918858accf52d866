"""Registers at work in a demo's point of sale."""

import itertools
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

from deploy.demo.pos import Pos

# Of all shops together.
REGISTERS = 4
RECONNECT_S = 0.5


class Registers:
    """Registers at work: sales at a steady rate, and now and then a price change or a restock.

    `committed` maps a sale's key to the wall time in microseconds at which its commit returned.
    """

    def __init__(self, pos: Pos, sales_per_second: float) -> None:
        self.pos = pos
        self.committed: dict[int, int] = {}
        self.failure: Exception | None = None
        self._per_shop = REGISTERS // len(pos.shops)
        self._interval = self._per_shop * len(pos.shops) / sales_per_second
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(shop, register), name=f"register {shop or 1}-{register}")
            for shop in pos.shops
            for register in range(1, self._per_shop + 1)
        ]

    def start(self) -> None:
        """Open the shops."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Close the shops; every sale that was begun is committed. Raises what a register failed with."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def _work(self, shop: int | None, register: int) -> None:
        chance = random.Random((shop or 1) * 100 + register)
        numbers = (f"{shop or 1}{register}-{count:07d}" for count in itertools.count(1))
        try:
            while not self._stop.is_set():
                try:
                    with self.pos.connect() as link:
                        self._sell(link, chance, shop, numbers)
                except Exception as fault:
                    if not self.pos.is_lost(fault):
                        raise
                    self._stop.wait(RECONNECT_S)  # whether the last sale was saved, the database says itself
        except Exception as fault:  # noqa: BLE001 -- carried over to the main thread by stop()
            self.failure = fault

    def _sell(self, link: Any, chance: random.Random, shop: int | None, numbers: Iterator[str]) -> None:
        next_sale = time.monotonic() + chance.random() * self._interval
        count = 0
        while not self._stop.wait(max(0.0, next_sale - time.monotonic())):
            next_sale += self._interval
            count += 1
            sale = self.pos.ring_up(link, chance, shop, next(numbers))
            self.committed[sale] = time.time_ns() // 1000
            if count % 10 == 0:
                self.pos.back_office(link, chance, shop)
