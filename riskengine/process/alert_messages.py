"""Alerts as they are sent: plain text for people, JSON for programs. Pure."""

import datetime as dt
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, NamedTuple

from riskengine.clock import MICROS_PER_SECOND, utc_text
from riskengine.process.alert_events import ENDED, AlertEvent

MOST_NAMED = 50
"""Events that a message says in words; it counts all."""


class AlertMessage(NamedTuple):
    """Events told together. `number` names it for good with the engine's name and epoch: what comes twice is one message.

    held   they were held back in the quiet hours
    made   when it was made, microseconds
    """

    number: str
    name: str
    events: tuple[AlertEvent, ...]
    total: int
    held: bool
    made: int

    @property
    def subject(self) -> str:
        """One line: the first event, and how many more."""
        if self.held:
            return f"[{self.name}] {self.total:,} events of the quiet hours"
        first = self.events[0]
        over = "over: " if first.what == ENDED else ""
        more = f" and {self.total - 1:,} more" if self.total > 1 else ""
        return one_line(f"[{self.name}] {over}{first.condition.title}{more}")

    @property
    def text(self) -> str:
        """A line for each event, with its time."""
        lines = ["Held back in the quiet hours:"] if self.held else []
        lines += [_line(event) for event in self.events[:MOST_NAMED]]
        if self.total > MOST_NAMED:
            lines.append(f"and {self.total - MOST_NAMED:,} more")
        return "\n".join(lines) + "\n"

    def body(self) -> dict[str, Any]:
        """What a webhook gets; `text` alone is what chat programs show."""
        return {
            "id": self.number,
            "engine": self.name,
            "text": f"{self.subject}\n{self.text}",
            "quiet_hours": self.held,
            "total": self.total,
            "events": [_fields(event) for event in self.events[:MOST_NAMED]],
        }

    def mail(self, sender: str, recipients: Sequence[str]) -> EmailMessage:
        """The same as a mail of plain text."""
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = self.subject, sender, ", ".join(recipients)
        mail["Date"] = format_datetime(dt.datetime.fromtimestamp(self.made / MICROS_PER_SECOND, dt.UTC))
        mail["Message-ID"] = f"<{self.number}@{self.name}.riskengine>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(self.text)
        return mail


def one_line(text: str) -> str:
    """A text without line ends and other controls, at most 200 characters."""
    return "".join(character if character.isprintable() else " " for character in text)[:200]


def _line(event: AlertEvent) -> str:
    over = "over: " if event.what == ENDED else ""
    return f"{utc_text(event.at)}  {over}{one_line(event.condition.title)}: {event.condition.text}"


def _fields(event: AlertEvent) -> dict[str, Any]:
    condition = event.condition
    return {
        "what": event.what,
        "ts": event.at,
        "about": condition.about,
        "key": condition.key,
        "title": condition.title,
        "text": condition.text,
        "urgent": condition.urgent,
    }
