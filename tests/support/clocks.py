"""A clock that stands until a test moves it."""


class HandClock:
    """Both of its times are the same number of seconds; sleeping moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def micros(self) -> int:
        return int(self.now * 1_000_000)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
