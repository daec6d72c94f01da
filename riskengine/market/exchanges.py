"""The regular hours of exchanges: a table of our own, because no library of holidays has them.

Hours are those of the main continuous session with its closing auction, by the clock of the exchange. `load calendars` (kind
`session`) overrules them or adds an exchange.
"""

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo


class ExchangeHours(NamedTuple):
    """The hours of one exchange. `opens` not before `closes`: the session begins on the day before.

    `lunch` is a pause in the middle; `early` when a day that closes early ends (None: no such days are known of it).
    """

    zone: str
    opens: str
    closes: str
    early: str | None = None
    lunch: tuple[str, str] | None = None

    def sessions(self, date: dt.date, early: str | None) -> list[tuple[int, int]]:
        """The moments (microseconds) at which trading begins and ends on a date; `early` is when it ends on this one. 10 us."""
        zone = ZoneInfo(self.zone)
        opens, closes = dt.time.fromisoformat(self.opens), dt.time.fromisoformat(early or self.closes)
        overnight = self.opens >= self.closes
        first = _moment(date - dt.timedelta(days=1) if overnight else date, opens, zone)
        last = _moment(date, closes, zone)
        if self.lunch is None:
            return [(first, last)] if first < last else []
        pauses, resumes = (_moment(date, dt.time.fromisoformat(text), zone) for text in self.lunch)
        parts = [(first, min(pauses, last)), (resumes, last)]
        return [(begin, end) for begin, end in parts if begin < end]


def _moment(date: dt.date, time: dt.time, zone: ZoneInfo) -> int:
    return round(dt.datetime.combine(date, time, zone).timestamp()) * 1_000_000


_NEW_YORK = ExchangeHours("America/New_York", "09:30", "16:00", "13:00")
_CHICAGO = ExchangeHours("America/Chicago", "17:00", "16:00", "12:00")
_EURONEXT = "09:00", "17:30", "14:05"
_SHANGHAI = ExchangeHours("Asia/Shanghai", "09:30", "15:00", lunch=("11:30", "13:00"))
_MUMBAI = ExchangeHours("Asia/Kolkata", "09:15", "15:30")

EXCHANGES: Mapping[str, ExchangeHours] = {
    "XNYS": _NEW_YORK,
    "XNAS": _NEW_YORK,
    "XTSE": ExchangeHours("America/Toronto", "09:30", "16:00", "13:00"),
    "XCME": _CHICAGO,
    "XLON": ExchangeHours("Europe/London", "08:00", "16:30", "12:30"),
    "XPAR": ExchangeHours("Europe/Paris", *_EURONEXT),
    "XAMS": ExchangeHours("Europe/Amsterdam", *_EURONEXT),
    "XBRU": ExchangeHours("Europe/Brussels", *_EURONEXT),
    "XLIS": ExchangeHours("Europe/Lisbon", "08:00", "16:30", "13:05"),
    "XDUB": ExchangeHours("Europe/Dublin", "08:00", "16:30", "12:30"),
    "XMIL": ExchangeHours("Europe/Rome", "09:00", "17:30"),
    "XMAD": ExchangeHours("Europe/Madrid", "09:00", "17:30", "14:00"),
    "XOSL": ExchangeHours("Europe/Oslo", "09:00", "16:25", "13:00"),
    "XETR": ExchangeHours("Europe/Berlin", "09:00", "17:30"),
    "XFRA": ExchangeHours("Europe/Berlin", "08:00", "22:00"),
    "XSWX": ExchangeHours("Europe/Zurich", "09:00", "17:30"),
    "XWAR": ExchangeHours("Europe/Warsaw", "09:00", "17:00"),
    "XIST": ExchangeHours("Europe/Istanbul", "10:00", "18:00", "13:00"),
    "XJSE": ExchangeHours("Africa/Johannesburg", "09:00", "17:00", "12:00"),
    "XJPX": ExchangeHours("Asia/Tokyo", "09:00", "15:30", lunch=("11:30", "12:30")),
    "XHKG": ExchangeHours("Asia/Hong_Kong", "09:30", "16:00", "12:00", lunch=("12:00", "13:00")),
    "XSHG": _SHANGHAI,
    "XSHE": _SHANGHAI,
    "XKRX": ExchangeHours("Asia/Seoul", "09:00", "15:30"),
    "XTAI": ExchangeHours("Asia/Taipei", "09:00", "13:30"),
    "XSES": ExchangeHours("Asia/Singapore", "09:00", "17:00", "12:00", lunch=("12:00", "13:00")),
    "XNSE": _MUMBAI,
    "XBOM": _MUMBAI,
    "XASX": ExchangeHours("Australia/Sydney", "10:00", "16:00", "14:10"),
    "XNZE": ExchangeHours("Pacific/Auckland", "10:00", "16:45", "13:30"),
}
"""Hours by the code of the exchange (ISO 10383)."""

OTHER_NAMES: Mapping[str, str] = {
    "NYSE": "XNYS",
    "ARCX": "XNYS",
    "XASE": "XNYS",
    "NASDAQ": "XNAS",
    "CME": "XCME",
    "XCBT": "XCME",
    "LSE": "XLON",
    "XTKS": "XJPX",
    "TSX": "XTSE",
    "ASX": "XASX",
    "HKEX": "XHKG",
    "XETRA": "XETR",
}
"""Names under which instruments and files may mean an exchange of the table."""


def calendar_code(calendar: str) -> str:
    """The code under which a calendar is kept: that of the exchange which another name means, else the name itself."""
    return OTHER_NAMES.get(calendar, calendar)
