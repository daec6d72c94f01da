"""A dealer that keeps dealing through restarts of the engine."""

import threading
import time
import urllib.error

from tests.running import Server


class Dealing:
    """Posts a trade every 20 ms, through restarts; `taken` counts the trades that the engine has answered as stored."""

    def __init__(self, url: str) -> None:
        self.server = Server(None, url)  # type: ignore[arg-type]
        self.taken = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._deal)
        self._thread.start()

    def _deal(self) -> None:
        number, ts = 0, 0
        while not self._ended.wait(0.02):
            symbol = ("EURUSD", "GBPUSD", "USDJPY")[number % 3]
            ts = ts or time.time_ns() // 1_000
            price = 1.1 + number % 7 / 100
            trade = {
                "source": "deals",
                "trade_id": f"d{number}",
                "ts": ts,
                "instrument": symbol,
                "desk": "FX1",
                "dealer": "ann",
                "side": "sell" if number % 5 == 3 else "buy",
                "quantity": 100 + number,
                "price": f"{price:.2f}",
            }
            tick = {"instrument": symbol, "ts": time.time_ns() // 1_000, "mid": price}
            try:
                self.server.post("/v1/ticks", [tick])
                self.server.post("/v1/trades", trade)
            except (OSError, AssertionError, urllib.error.URLError):
                continue  # the engine is away: send the same trade again
            number, ts = number + 1, 0
            self.taken = number

    def end(self) -> None:
        self._ended.set()
        self._thread.join(30)
