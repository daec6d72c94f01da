"""What the words of a foreign header may mean: a vocabulary in six languages, kept as data in `header_words.toml`.

A header is folded first: lower case, no accents, no punctuation, `TradePrice` as two words. Pure; the vocabulary is read once.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "nl": "Dutch",
    "es": "Spanish",
    "it": "Italian",
}

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_LETTER = re.compile(r"[^a-z0-9]+")
_LONGEST = 100
"""Characters of a header that are looked at."""
_LEAST_HEAD = 4
"""Letters that the last part of a compound word (Handelsgebühr) needs to tell what it is."""


_SMALL = frozenset(["d", "de", "del", "della", "di", "der", "des", "du", "dell", "of", "the", "l", "la", "le", "van"])
_NUMBER = frozenset(["number", "numero", "num", "nr", "nro", "no", "n", "nummer"])


class Meaning(NamedTuple):
    """What a header may mean. `strength` is 1 for the very words and falls with what the header has beside them.

    `field` is a column of a record or a part of one (`date`, `time`, `isin`, ..); `unused` says that no record takes it.
    """

    field: str
    language: str
    words: str
    strength: float
    unused: bool


class _Word(NamedTuple):
    field: str
    language: str
    unused: bool


def fold(header: str) -> str:
    """The words of a header, lower case, without accents and punctuation, one blank between them."""
    spaced = _CAMEL.sub(" ", header.replace("ß", "ss").replace("\u00b0", "o"))
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", spaced) if not unicodedata.combining(letter))
    return _NO_LETTER.sub(" ", plain.casefold()).strip()


def meanings(header: str) -> list[Meaning]:
    """What a header may mean, the strongest first; of each field and language only the best. Empty for strange words."""
    folded = _essence(fold(header[:_LONGEST]))
    best: dict[tuple[str, str], Meaning] = {}
    for strength, phrase, words in _candidates(folded):
        for word in words:
            key = (word.field, word.language)
            if key not in best or best[key].strength < strength:
                best[key] = Meaning(word.field, word.language, phrase, strength, word.unused)
    return sorted(best.values(), key=lambda meaning: -meaning.strength)


def languages_of(headers: list[str]) -> dict[str, float]:
    """How much each language explains of the headers: the sum of its best exact matches, by language code."""
    scores = dict.fromkeys(LANGUAGES, 0.0)
    for header in headers:
        exact = {meaning.language for meaning in meanings(header) if meaning.strength >= 0.9}
        for language in exact:
            scores[language] += 1 / len(exact)
    return scores


def _essence(folded: str) -> str:
    """The words that tell: without small ones, and all words for "number" alike, so that many phrases stand for one."""
    words = ["no" if word in _NUMBER else word for word in folded.split() if word not in _SMALL]
    return " ".join(words) or folded


def _candidates(folded: str) -> list[tuple[float, str, list[_Word]]]:
    """The phrases of the vocabulary that stand in a folded header, each with its strength."""
    vocabulary, compact = _vocabulary(), _compact_vocabulary()
    found: list[tuple[float, str, list[_Word]]] = []
    if folded in vocabulary:
        found.append((1.0, folded, vocabulary[folded]))
    together = folded.replace(" ", "")
    if len(together) > 2 and (phrase := compact.get(together)):
        found.append((0.95, phrase, vocabulary[phrase]))
    parts = folded.split()
    for start in range(len(parts)):
        for end in range(start + 1, len(parts) + 1):
            phrase = " ".join(parts[start:end])
            if end - start < len(parts) and len(phrase) > 1 and phrase in vocabulary:
                found.append((0.3 + 0.5 * (end - start) / len(parts), phrase, vocabulary[phrase]))
    for part in parts:
        for cut in range(2, len(part) - _LEAST_HEAD + 1):
            if (head := part[cut:]) in vocabulary:
                found.append((0.4, head, vocabulary[head]))
    return found


@cache
def _vocabulary() -> dict[str, list[_Word]]:
    text = files("riskengine.files.drafts").joinpath("header_words.toml").read_text(encoding="utf-8")
    tables: dict[str, Any] = tomllib.loads(text)
    unused: dict[str, dict[str, list[str]]] = tables.pop("unused")
    vocabulary: dict[str, list[_Word]] = {}
    for fields, is_unused in ((tables, False), (unused, True)):
        for field, by_language in fields.items():
            for language, phrases in by_language.items():
                for phrase in phrases:
                    word = _Word(field, language, is_unused)
                    words = vocabulary.setdefault(_essence(phrase), [])
                    if word not in words:
                        words.append(word)
    return vocabulary


@cache
def _compact_vocabulary() -> dict[str, str]:
    return {phrase.replace(" ", ""): phrase for phrase in _vocabulary() if " " in phrase}
