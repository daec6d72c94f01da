"""The front end as files: its own unit tests, what it weighs, what it may load, and the rooms that it lives in."""

import gzip
import json
import re
from pathlib import Path

import pytest

from hatch_build import INSTALLED, PageNotBuilt, is_built, run_npm, sources, sources_digest
from riskengine.serve.page import BUILT
from tests.running import ROOT

WEB = ROOT / "riskengine" / "web"
SOURCES = WEB / "src"
MOST_SCRIPT_BYTES = 450_000
"""Of all scripts together, as gzip."""

ROOMS = (
    "store words < settings < live < grid curve < amounts < trades ticket < whatif "
    "< ladder blotter risk operations limits scenarios explain notifications < frame < views < page < main"
)
"""A room imports from those before it; rooms between two `<` do not know each other. Types of the frame are free to views.ts."""


def test_the_unit_tests_of_the_front_end_pass() -> None:
    if not INSTALLED.is_file():
        pytest.skip("the page's tools are not installed (make page): its unit tests are not run")
    try:
        done = run_npm("test", "--silent", capture=True)
    except PageNotBuilt as problem:
        pytest.skip(f"no Node on this machine, the page's unit tests are not run: {problem}")
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]


@pytest.fixture
def built() -> Path:
    if not (BUILT / "index.html").is_file():
        pytest.skip("the page is not built (make page)")
    return BUILT


def test_the_page_is_the_one_of_the_sources(built: Path) -> None:
    assert is_built(sources_digest()), "make page"


def test_all_scripts_together_stay_small(built: Path) -> None:
    weighed = {path.name: len(gzip.compress(path.read_bytes())) for path in built.rglob("*.js")}
    assert 0 < sum(weighed.values()) < MOST_SCRIPT_BYTES, weighed


def test_the_page_loads_nothing_from_elsewhere_and_has_no_script_or_style_of_its_own(built: Path) -> None:
    for page in built.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text), page
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text), page
    for sheet in built.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", sheet.read_text()), sheet


def test_the_lock_names_hashes_and_no_host() -> None:
    text = (WEB / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert "://" not in text
    assert all("integrity" in package for name, package in packages.items() if name)


def test_a_room_of_the_page_imports_only_from_rooms_before_it() -> None:
    places = {name: place for place, names in enumerate(ROOMS.split("<")) for name in names.split()}
    wrong = []
    for path in [path for path in sources() if path.suffix in {".ts", ".tsx"} and SOURCES in path.parents]:
        here = path.relative_to(SOURCES).parts[0].removesuffix(".ts").removesuffix(".tsx")
        assert here in places, f"{path.name}: without a room"
        for imported in re.findall(r'from "(\.{1,2}/[^"]+)"', path.read_text()):
            there = (path.parent / imported).resolve().relative_to(SOURCES).parts[0]
            if there != here and not places[there] < places[here]:
                wrong.append(f"{path.relative_to(SOURCES)} imports {imported}")
    assert wrong == []
