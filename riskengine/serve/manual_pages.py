"""The manual as pages of HTML: headings and rows of tables with anchors, links that lead from page to page, and a search.

The pages are the files of `riskengine/manual/`. A heading has the anchor that every reader of Markdown gives it. A name in the
first cell of a table has one of its own, `<anchor of the heading>.<name>`: `warnings.feed_gap` is the row of that warning.

Reading the library takes 30 ms and a page up to 40: `Manual` does it page by page when it is first asked. Any thread.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MANUAL = Path(__file__).resolve().parent.parent / "manual"
INDEX = "index"

MAX_FOUND = 50
"""Places that a search lists; it counts all."""
SNIPPET_CHARS = 240

_NO_ANCHOR = re.compile(r"[^\w.-]+")
_FILE = re.compile(r"(\w+)\.md(#.*)?")
_GROUP = re.compile(r"\*\*(.+)\*\*")
_LISTED = re.compile(r"- \[(\w+)\.md\]")


class Heading(NamedTuple):
    """A heading of a page: 1 for its title, its anchor, its text."""

    level: int
    anchor: str
    text: str


class Passage(NamedTuple):
    """A paragraph, an item of a list, a row of a table or a block of code, as plain text, below its heading."""

    page: str
    heading: Heading
    anchor: str
    text: str


class ManualPage(NamedTuple):
    """One page: its HTML, its headings in order, everything that a link may lead to, and its passages."""

    name: str
    html: str
    headings: Sequence[Heading]
    anchors: frozenset[str]
    passages: Sequence[Passage]

    @property
    def title(self) -> str:
        """The first heading."""
        return self.headings[0].text if self.headings else self.name


class SearchResult(NamedTuple):
    """What a search found: the passages, best first, at most MAX_FOUND of them; and how many there are."""

    words: Sequence[str]
    passages: Sequence[Passage]
    total: int


class Manual:
    """All pages of a folder. Raises KeyError for a page that is not there."""

    def __init__(self, folder: Path = MANUAL) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._pages: dict[str, ManualPage] = {}
        self.names = tuple(sorted(path.stem for path in folder.glob("*.md")))

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """The title of every page, by its name."""
        return {name: _title_of(self._text(name)) or name for name in self.names}

    @cached_property
    def groups(self) -> Sequence[tuple[str, Sequence[str]]]:
        """The pages as the index arranges them: the words above each group, and the names of its pages."""
        found: list[tuple[str, list[str]]] = []
        for line in self._text(INDEX).splitlines() if INDEX in self.names else ():
            if group := _GROUP.fullmatch(line):
                found.append((group[1], []))
            elif found and (listed := _LISTED.match(line)) and listed[1] in self.titles:
                found[-1][1].append(listed[1])
        return found

    def page(self, name: str) -> ManualPage:
        """A page, rendered when it is first asked for. Raises KeyError."""
        with self._lock:  # the library's parser keeps its state in itself
            if name not in self._pages:
                if name not in self.names:
                    raise KeyError(name)
                self._pages[name] = _Renderer(name, self.titles).page(self._text(name))
            return self._pages[name]

    def search(self, asked: str) -> SearchResult:
        """The passages that hold every word, those whose heading holds them first; without words nothing."""
        words = asked.casefold().split()
        if not words:
            return SearchResult((), (), 0)
        ranked = []
        for name in self.names:
            for place, passage in enumerate(self.page(name).passages):
                title = f"{self.titles[name]} {passage.heading.text}".casefold()
                text = passage.text.casefold()
                if all(word in text or word in title for word in words) and any(word in text for word in words):
                    ranked.append((-sum(word in title for word in words), -_weight(text, words), name, place, passage))
        ranked.sort(key=lambda each: each[:4])
        return SearchResult(words, [each[-1] for each in ranked[:MAX_FOUND]], len(ranked))

    def _text(self, name: str) -> str:
        return (self._folder / f"{name}.md").read_text(encoding="utf-8")


def link_of(page: str, anchor: str, here: str) -> str:
    """The address of a place of the manual, from one of its pages: the index is `/manual`, all others lie below it."""
    place = f"#{anchor}" if anchor else ""
    if page == here:
        return place or "#"
    if here == INDEX:
        return f"manual/{page}{place}"
    return f"../manual{place}" if page == INDEX else f"{page}{place}"


def snippet(text: str, words: Sequence[str]) -> str:
    """The part of a passage around the first of the words."""
    if len(text) <= SNIPPET_CHARS:
        return text
    low = text.casefold()
    first = min((at for word in words if (at := low.find(word)) >= 0), default=0)
    start = max(0, first - SNIPPET_CHARS // 3)
    start = text.rfind(" ", 0, start) + 1 if start else 0
    end = text.find(" ", start + SNIPPET_CHARS)
    return ("\u2026 " if start else "") + (text[start:end] + " \u2026" if end > 0 else text[start:])


def anchor_of(heading: str) -> str:
    """The anchor of a heading's text, as readers of Markdown make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _weight(text: str, words: Sequence[str]) -> int:
    """Whole words count twice."""
    return sum(2 if re.search(rf"\b{re.escape(word)}\b", text) else 1 for word in words if word in text)


def _title_of(text: str) -> str:
    first = re.search(r"^# (.*)$", text, re.MULTILINE)
    return first[1] if first else ""


def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # read with the first page: a start does not wait for it

    return MarkdownIt("commonmark", {"html": False}).enable("table")


class _Renderer:
    """Makes one page."""

    def __init__(self, name: str, titles: Mapping[str, str]) -> None:
        self._name = name
        self._titles = titles
        self._taken: set[str] = set()
        self._headings: list[Heading] = []
        self._passages: list[Passage] = []

    def page(self, text: str) -> ManualPage:
        parser = _parser()
        tokens = parser.parse(text)
        for place, token in enumerate(tokens):
            if token.type == "heading_open":
                self._note_heading(token, tokens[place + 1])
            elif token.type in ("td_open", "th_open"):
                _align_by_class(token)
            elif token.type == "inline":
                self._lead_links(token)
        self._read_passages(tokens)
        html = parser.renderer.render(tokens, parser.options, {})
        return ManualPage(self._name, html, self._headings, frozenset(self._taken), self._passages)

    def _free(self, anchor: str) -> str:
        """The anchor, or the first with a number behind it that no other place has."""
        found, number = anchor, 0
        while found in self._taken:
            number += 1
            found = f"{anchor}-{number}"
        self._taken.add(found)
        return found

    def _note_heading(self, token: "Token", words: "Token") -> None:
        text = _plain(words)
        heading = Heading(int(token.tag[1:]), self._free(anchor_of(words.content)), text)
        token.attrSet("id", heading.anchor)
        self._headings.append(heading)

    def _lead_links(self, words: "Token") -> None:
        """Links to files become links to pages, named by their titles; what is not served stays as words."""
        parts = words.children or []
        for place, part in enumerate(parts):
            if part.type != "link_open":
                continue
            target = str(part.attrGet("href") or "")
            file = _FILE.fullmatch(target)
            if file is not None and file[1] in self._titles:
                part.attrSet("href", link_of(file[1], (file[2] or "")[1:], self._name))
                named = parts[place + 1]
                if named.content == f"{file[1]}.md":
                    named.content = self._titles[file[1]]
            elif "://" in target:
                part.attrSet("rel", "noreferrer")
            elif not target.startswith("#"):
                part.tag = next(each for each in parts[place:] if each.type == "link_close").tag = "span"
                part.attrs = {}

    def _read_passages(self, tokens: Sequence["Token"]) -> None:
        """Note the passages, and give the names in first cells their anchors."""
        heading = Heading(1, "", "")
        headings = iter(self._headings)
        row: list[str] | None = None
        anchor, cells = "", 0
        for token in tokens:
            if token.type == "heading_open":
                heading = next(headings)
            elif token.type == "tr_open":
                row, anchor, cells = [], heading.anchor, 0
            elif token.type == "td_open":
                cells += 1
            elif token.type == "tr_close" and row is not None:
                self._add(heading, anchor, " \u00b7 ".join(row))
                row = None
            elif token.type == "fence":
                self._add(heading, heading.anchor, token.content)
            elif token.type == "inline":
                if row is None:
                    self._add(heading, heading.anchor, _plain(token))
                else:
                    row.append(_plain(token))
                    if cells == 1 and (names := list(self._name_codes(token, heading))):
                        anchor = names[0]

    def _name_codes(self, cell: "Token", heading: Heading) -> Iterator[str]:
        """Give each code of a first cell its anchor; one that is named twice keeps the first."""
        for part in cell.children or ():
            if part.type == "code_inline":
                anchor = f"{heading.anchor}.{_NO_ANCHOR.sub('-', part.content).strip('-')}"
                if anchor not in self._taken:
                    self._taken.add(anchor)
                    part.attrSet("id", anchor)
                yield anchor

    def _add(self, heading: Heading, anchor: str, text: str) -> None:
        if text.strip():
            self._passages.append(Passage(self._name, heading, anchor, " ".join(text.split())))


def _align_by_class(token: "Token") -> None:
    """The page's policy lets in no style of an element: the side of a column is a class."""
    style = str(token.attrs.pop("style", ""))
    if style:
        token.attrSet("class", style.rpartition(":")[2])


def _plain(words: "Token") -> str:
    """The text of a line without its marks."""
    return "".join(
        part.content if part.type in ("text", "code_inline") else " " if part.type in ("softbreak", "hardbreak") else ""
        for part in words.children or ()
    )
