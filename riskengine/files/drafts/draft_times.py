"""The times of a drafted mapping: formats and zones, and what cannot be told of them. Pure."""

import re
from collections.abc import Sequence

from riskengine.files.drafts.date_styles import ISO, DateStyle
from riskengine.files.drafts.draft import Draft, Guess
from riskengine.files.drafts.draft_lines import said_line, toml_text
from riskengine.files.drafts.header_words import fold
from riskengine.files.drafts.value_shapes import Values
from riskengine.files.mappings.mapping import DATES
from riskengine.files.shapes import MAPPED
from riskengine.printable import printable

_ZONES = {
    "en": "America/New_York",
    "de": "Europe/Berlin",
    "fr": "Europe/Paris",
    "nl": "Europe/Amsterdam",
    "es": "Europe/Madrid",
    "it": "Europe/Rome",
}
"""An example of a zone for the language of a header: only ever written as a question."""


def time_table(draft: Draft) -> list[str]:
    """The table `[times]`: formats and the zone, or the questions which they are."""
    lines = ["[times]"]
    if "ts" in MAPPED[draft.kind].columns:
        lines += _format_of_ts(draft)
    styles = {
        field: style
        for field in MAPPED[draft.kind].columns
        if field in DATES and (guess := draft.guess_of(field)) and (style := draft.facts[guess.index].dates)
    }
    formats = list(dict.fromkeys(style.format for style in styles.values()))
    if formats:
        lines += _date_key("dates", next(iter(styles.values())), ", ".join(styles))
    for field, style in styles.items():
        if style.format != formats[0]:
            lines += ["", f"[times.{field}]", *_date_key("format", style, field)]
    return lines if len(lines) > 1 else []


def _format_of_ts(draft: Draft) -> list[str]:
    guesses = [guess for role in ("ts", "date", "time") if (guess := draft.guess(role)) is not None]
    styles = [style for guess in guesses if (style := draft.facts[guess.index].dates or _clock(draft.facts[guess.index].values))]
    if not styles or len(styles) < len(guesses):
        return []
    # Joined columns have a blank between them; a date of ISO and a time behind it are no ISO time for every reader.
    if len(styles) == 1:
        lines = _date_key("format", styles[0], "ts")
    else:
        joined = " ".join("%Y-%m-%d" if style.format == ISO else style.format for style in styles)
        if styles[0].open:
            others = [f"{each} {styles[1].format}" for each in styles[0].others]
            lines = [f"# ASK: {printable(styles[0].doubt)}. One of:", *(f"# format = {toml_text(each)}" for each in others)]
        else:
            lines = said_line(f"format = {toml_text(joined)}", styles[0].evidence, [styles[0].doubt])
    return lines + _zone(draft, guesses, styles)


def _zone(draft: Draft, guesses: Sequence[Guess], styles: Sequence[DateStyle]) -> list[str]:
    if any(style.has_zone for style in styles):
        return []
    ask = "# ASK: times have no zone. On whose clock are they?"
    named = next((guess.header for guess in guesses if {"utc", "gmt", "zulu"} & set(fold(guess.header).split())), "")
    if re.search(r"[+-]\s*0*[1-9]", named):
        ask = f"# ASK: {printable(named)} names an offset: which zone is it? (Etc/GMT-8 is eight hours ahead of UTC.)"
    elif named:
        doubt = "in summer too, or London's clock?" if "gmt" in fold(named) else ""
        return said_line('zone = "UTC"', f"the header says so: {named}", [doubt])
    return [ask, f'# zone = "{_ZONES[draft.language]}"']


def _clock(values: Values) -> DateStyle | None:
    """The style of times of day in six digits."""
    if values.examples and all(len(value) == 6 and value.isdigit() for value in values.examples):
        return DateStyle("%H%M%S", "six digits", has_date=False, has_time=True)
    return None


def _date_key(key: str, style: DateStyle, field: str) -> list[str]:
    """The format of times or dates, or the question which of several it is."""
    if style.open:
        return [f"# ASK: {printable(style.doubt)}. One of:", *(f"# {key} = {toml_text(each)}" for each in style.others)]
    if style.format == ISO:
        return [f"# {field}: ISO 8601, which needs no format"] if not style.doubt else [f"# DOUBT: {printable(style.doubt)}"]
    return said_line(f"{key} = {toml_text(style.format)}", style.evidence, [style.doubt])
