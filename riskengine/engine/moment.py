"""One moment of the past: an engine that holds what was known then, and what is to be told beside its numbers."""

from typing import Final, Literal, NamedTuple

from riskengine.engine.engine import Engine

THEN: Final = "then"
NOW: Final = "now"
"""What a moment is told by: what was known of it then, or what is known of it now."""

Known = Literal["then", "now"]


class Moment(NamedTuple):
    """The answer to a question about the past. Readers read the engine and its snapshot; nobody changes them.

    asked     the time that was asked for, microseconds
    exact_at  the recorded instant whose numbers these are to the last digit of every exact one; None where nothing was recorded
    known     see THEN, NOW
    unknown   sentences: what could not be restored as it was, in the order of their weight; none where all could
    """

    engine: Engine
    asked: int
    exact_at: int | None
    known: Known
    unknown: tuple[str, ...]
