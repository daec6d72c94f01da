import re
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from riskengine.serve.manual_pages import INDEX, Manual, link_of, snippet
from tests.running import ROOT

PAGES = {
    "index": "# The manual\n\n**To use it**\n\n- [alpha.md](alpha.md): first.\n- [beta.md](beta.md): second.\n",
    "alpha": (
        "# Alpha\n\n## Stale marks\n\nA mark grows stale; see [beta.md](beta.md#warnings), [here](#stale-marks),\n"
        "[the code](../client/x.py) and [elsewhere](https://example.com).\n\n## Stale marks\n\nAgain <b>bold</b>.\n\n"
        "```sh\nriskengine demo\n```\n"
    ),
    "beta": (
        "# Beta\n\n## Warnings\n\n| kind | count |\n|---|---:|\n| `feed_gap`, `feed_anew` | trades are missing |\n"
        "| `mark` | stale |\n| `mark` | once more |\n\n- A rule about a feed\n"
    ),
}


@pytest.fixture
def manual(tmp_path: Path) -> Manual:
    for name, text in PAGES.items():
        (tmp_path / f"{name}.md").write_text(text)
    return Manual(tmp_path)


def test_headings_have_the_anchors_that_readers_of_markdown_give_them_and_no_two_share_one(manual: Manual) -> None:
    page = manual.page("alpha")
    assert [(each.level, each.anchor) for each in page.headings] == [(1, "alpha"), (2, "stale-marks"), (2, "stale-marks-1")]
    assert '<h2 id="stale-marks">Stale marks</h2>' in page.html


def test_every_name_in_a_first_cell_has_an_anchor_and_a_repeated_one_keeps_the_first(manual: Manual) -> None:
    page = manual.page("beta")
    assert page.anchors >= {"warnings", "warnings.feed_gap", "warnings.feed_anew", "warnings.mark"}
    assert page.html.count('id="warnings.mark"') == 1


def test_links_lead_from_page_to_page_under_the_titles_of_the_pages(manual: Manual) -> None:
    html = manual.page("alpha").html
    assert '<a href="beta#warnings">Beta</a>' in html
    assert '<a href="#stale-marks">here</a>' in html
    assert '<a href="manual/alpha">Alpha</a>' in manual.page(INDEX).html


def test_what_the_server_does_not_serve_is_no_link(manual: Manual) -> None:
    html = manual.page("alpha").html
    assert "<span>the code</span>" in html
    assert '<a href="https://example.com" rel="noreferrer">' in html


def test_html_in_a_page_is_shown_and_not_obeyed(manual: Manual) -> None:
    assert "&lt;b&gt;bold&lt;/b&gt;" in manual.page("alpha").html


def test_the_side_of_a_column_is_a_class_because_the_policy_lets_in_no_style(manual: Manual) -> None:
    html = manual.page("beta").html
    assert 'class="right"' in html
    assert "style=" not in html


def test_pages_stand_in_the_groups_of_the_index(manual: Manual) -> None:
    assert manual.groups == [("To use it", ["alpha", "beta"])]


def test_a_search_finds_passages_that_hold_every_word_the_heading_s_first(manual: Manual) -> None:
    found = manual.search("STALE mark")
    places = [(each.page, each.anchor) for each in found.passages]
    assert places[0] == ("alpha", "stale-marks")
    assert places[-1] == ("beta", "warnings.mark")
    assert found.total == len(places) == 4, "two headings, a paragraph and a row"
    assert [each.text for each in manual.search("stale riskengine").passages] == ["riskengine demo"], "below such a heading"
    assert manual.search("nowhere").total == manual.search("  ").total == 0


def test_a_row_of_a_table_is_found_as_a_whole(manual: Manual) -> None:
    [row] = manual.search("feed_anew missing").passages
    assert (row.text, row.anchor) == ("feed_gap, feed_anew \u00b7 trades are missing", "warnings.feed_gap")


def test_a_page_that_is_not_there_is_not_looked_for_on_the_disk(manual: Manual) -> None:
    with pytest.raises(KeyError):
        manual.page("../alpha")


def test_a_snippet_is_the_part_around_the_first_word() -> None:
    text = "before " * 100 + "needle " + "after " * 100
    assert "needle" in snippet(text, ["needle"])
    assert len(snippet(text, ["needle"])) < 300
    assert snippet("short", ["short"]) == "short"


@pytest.mark.parametrize("name", Manual().names)
def test_every_link_of_the_manual_as_it_is_served_leads_to_a_heading_or_a_name(name: str) -> None:
    manual = Manual()
    here = name
    for target in re.findall(r'href="([^"]*)"', manual.page(name).html):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        page = here if not path else INDEX if path == "../manual" else path.rpartition("/")[2]
        assert not anchor or anchor in manual.page(page).anchors, target
        assert target == link_of(page, anchor, here)


def test_the_pages_are_in_the_wheel() -> None:
    builder = WheelBuilder(str(ROOT))
    packed = {file.distribution_path for file in builder.recurse_included_files()}
    assert {f"riskengine/manual/{name}.md" for name in Manual().names} <= packed
