"""The manual over HTTP: `/manual` is its index and its search, `/manual/{page}` a page.

It holds no number of anybody's, and tells how this engine is run: everybody with a token reads it, whatever the token shows, and
a browser without one is sent to the login. It answers in every state of the engine. Its pages need no script; the one that they
have takes over the theme that was chosen on the screens.
"""

import asyncio
import html
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from riskengine.records.fields import Rejected, excerpt
from riskengine.serve.access.origins import SECURITY_HEADERS
from riskengine.serve.answers.params import Parameter, read_parameters
from riskengine.serve.answers.problems import HttpProblem
from riskengine.serve.manual_pages import INDEX, Heading, Manual, ManualPage, SearchResult, link_of, snippet

MAX_SEARCH_CHARS = 200

_HEADERS = dict(SECURITY_HEADERS) | {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "cache-control": "private, no-cache",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} \u00b7 riskengine manual</title>
<link rel="icon" href="{root}icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}tokens.css">
<link rel="stylesheet" href="{root}manual.css">
<script src="{root}manual.js"></script>
</head>
<body>
<a class="skip" href="#text">To the text</a>
<header>
<a class="home" href="{root}./">riskengine</a>
<a href="{root}manual">Manual</a>
<form role="search" action="{root}manual">
<input type="search" name="search" id="search" aria-label="Search the manual" placeholder="/ search the manual"
 maxlength="{most}" value="{asked}">
<button type="submit">Search</button>
</form>
</header>
<div class="columns">
<nav aria-label="Pages">{pages}</nav>
<main id="text" tabindex="-1">
{text}
</main>
{contents}
</div>
</body>
</html>
"""

Endpoint = Callable[[Request], Awaitable[Response]]


def _words(text: str) -> str:
    if len(text) > MAX_SEARCH_CHARS or "\0" in text:
        raise Rejected("search", f"must be at most {MAX_SEARCH_CHARS} characters")
    return text


SEARCH = Parameter("search", "words that a passage must hold", {"type": "string", "maxLength": MAX_SEARCH_CHARS}, _words, "")


def manual_routes(manual: Manual | None = None) -> list[Route]:
    """The routes of the manual."""
    pages = manual or Manual()
    return [
        Route("/manual", partial(_answer_index, pages), name="manual"),
        Route("/manual/{page}", partial(_answer_page, pages), name="manual page"),
    ]


async def _answer_index(manual: Manual, request: Request) -> Response:
    """The index, or what a search found. Raises HttpProblem."""
    asked: str = read_parameters((SEARCH,), request.query_params.multi_items())["search"]
    # Off the loop: the first search reads every page, 0.3 s.
    if asked.strip():
        return _answer(await asyncio.to_thread(_found_document, manual, asked))
    return _answer(await asyncio.to_thread(_page_document, manual, INDEX))


async def _answer_page(manual: Manual, request: Request) -> Response:
    """A page. Raises HttpProblem."""
    read_parameters((), request.query_params.multi_items())
    name = request.path_params["page"]
    if name not in manual.names or name == INDEX:
        raise HttpProblem(404, f"the manual has no page {excerpt(name)}: /manual lists them")
    return _answer(await asyncio.to_thread(_page_document, manual, name))


def _answer(document: str) -> Response:
    return Response(document, headers=_HEADERS, media_type="text/html; charset=utf-8")


# -- documents ---------------------------------------------------------------------------------------------------


def _page_document(manual: Manual, name: str) -> str:
    page = manual.page(name)
    return _document(manual, name, page.title, page.html, contents=_contents(page))


def _found_document(manual: Manual, asked: str) -> str:
    found = manual.search(asked)
    return _document(manual, INDEX, f"Search: {asked}", _results(manual, found), asked=asked)


def _document(manual: Manual, here: str, title: str, text: str, *, contents: str = "", asked: str = "") -> str:
    return _PAGE.format(
        title=html.escape(title),
        root="" if here == INDEX else "../",
        most=MAX_SEARCH_CHARS,
        asked=html.escape(asked),
        pages="".join(_pages(manual, here)),
        text=text,
        contents=contents,
    )


def _pages(manual: Manual, here: str) -> Iterator[str]:
    for group, names in manual.groups:
        yield f"<h2>{html.escape(group)}</h2><ul>"
        for name in names:
            current = ' aria-current="page"' if name == here else ""
            yield f'<li><a href="{link_of(name, "", here)}"{current}>{html.escape(manual.titles[name])}</a></li>'
        yield "</ul>"


def _contents(page: ManualPage) -> str:
    """The headings of a page with more than two."""
    below = [heading for heading in page.headings if heading.level in (2, 3)]
    if len(below) < 3:
        return ""
    return f'<nav aria-label="On this page" class="contents"><h2>On this page</h2><ul>{"".join(map(_item, below))}</ul></nav>'


def _item(heading: Heading) -> str:
    return f'<li class="level-{heading.level}"><a href="#{heading.anchor}">{html.escape(heading.text)}</a></li>'


def _results(manual: Manual, found: SearchResult) -> str:
    if not found.total:
        said = "nothing in the manual holds all of these words"
    else:
        shown = f", the first {len(found.passages)}" if found.total > len(found.passages) else ""
        said = f"{found.total:,} {'passage holds' if found.total == 1 else 'passages hold'} all of these words{shown}"
    items = []
    for passage in found.passages:
        title = manual.titles[passage.page]
        where = title if passage.heading.level == 1 else f"{title} \u203a {passage.heading.text}"
        link = "manual" if passage.page == INDEX else link_of(passage.page, passage.anchor, INDEX)
        text = _marked(snippet(passage.text, found.words), found.words)
        items.append(f'<li><a href="{html.escape(link)}">{html.escape(where)}</a><p>{text}</p></li>')
    return f'<h1>Search</h1><p class="quiet" role="status">{said}</p><ol class="found">{"".join(items)}</ol>'


def _marked(text: str, words: Sequence[str]) -> str:
    """The text with the words marked, as HTML."""
    low = text.casefold()
    if len(low) != len(text):  # a letter that folds into two would move the marks
        return html.escape(text)
    is_marked = bytearray(len(text))
    for word in words:
        at = low.find(word)
        while at >= 0:
            is_marked[at : at + len(word)] = b"\1" * len(word)
            at = low.find(word, at + 1)
    parts, start = [], 0
    for at in range(1, len(text) + 1):
        if at == len(text) or is_marked[at] != is_marked[start]:
            part = html.escape(text[start:at])
            parts.append(f"<mark>{part}</mark>" if is_marked[start] else part)
            start = at
    return "".join(parts)
