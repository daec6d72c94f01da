"""Finds the known name that a sender probably meant by one that nobody knows.

Two names look alike if they have the same letters but for case, spaces, `_`, `-` and a plural, or if a few edits make one the
other: two, one in a name of up to four letters, none in one of two and in a word with a meaning of its own. Every door uses these
rules: columns, JSON fields, query parameters, settings. Pure.
"""

from collections.abc import Iterable

SHORT = 4
"""Letters of a short name: two edits make any of them almost any other."""

OF_THEIR_OWN = frozenset({"amount", "count"})
"""Words that mean something of their own, however near a known name comes (`account`)."""

FEWEST = 3
"""Letters of first words that tell anything."""


def nearest(sent: str, known: Iterable[str]) -> str | None:
    """The known name that looks like `sent`, or None. O(known x letters^2)."""
    letters = _letters(sent)
    best, best_edits = None, 3
    for name in known:
        ours = _letters(name)
        if _singular(letters) == _singular(ours):
            return name
        shortest = min(len(letters), len(ours))
        if letters in OF_THEIR_OWN or shortest <= 2 or abs(len(letters) - len(ours)) > 2:
            continue
        edits = _edits(letters, ours)
        if edits < best_edits and edits <= (1 if shortest <= SHORT else 2):
            best, best_edits = name, edits
    return best


def by_first_words(sent: str, known: Iterable[str]) -> str | None:
    """The known name that is the first word or words of `sent` (ENEL of ENEL SPA), the longest one.

    Else the only known name whose first words `sent` is; None where there are several. O(known).
    """
    words = sent.casefold().split()
    shorter: list[str] = []
    longer: list[str] = []
    for name in known:
        ours = name.casefold().split()
        if len("".join(words if len(words) < len(ours) else ours)) < FEWEST:
            continue
        if len(ours) < len(words) and words[: len(ours)] == ours:
            shorter.append(name)
        elif len(words) < len(ours) and ours[: len(words)] == words:
            longer.append(name)
    if shorter:
        return max(shorter, key=len)
    return longer[0] if len(longer) == 1 else None


def unknown(sent: str, known: Iterable[str], what: str) -> str:
    """Why a name is refused, as the rest of a sentence: `is not a field of a trade: did you mean fees?`.

    `what` is what the known names are, such as `a field of a trade`. Without a near one it lists them all.
    """
    names = list(known)
    near = nearest(sent, names)
    if near is not None:
        return f"is not {what}: did you mean {near}?"
    return f"is not {what}; there are {', '.join(names)}" if names else f"is not {what}; there are none"


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))[:64]


def _singular(letters: str) -> str:
    return letters[:-1] if len(letters) > 2 and letters.endswith("s") else letters


def _edits(one: str, other: str) -> int:
    """How many letters must be put in, left out, replaced or swapped with their neighbour to make one text the other."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        line = [row]
        for column, theirs in enumerate(other, start=1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != theirs))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == theirs:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]
