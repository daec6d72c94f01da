"""The walk of manual/strange_file.md, by a reader: every command in the order of the page, and what the page says comes of it."""

import re
from pathlib import Path

from tests.cli.commands import riskengine

PAGE = Path(__file__).resolve().parents[2] / "riskengine" / "manual" / "strange_file.md"


def written(folder: Path) -> None:
    """The files that the page has its reader write."""
    for name, content in re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        (folder / name).write_text(content)


def test_the_walk_ends_with_the_positions_that_the_page_shows(tmp_path: Path, monkeypatch) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    store = ("--store", "sqlite:///desk.db")
    for kind in ("nodes", "instruments"):
        assert riskengine("load", kind, f"{kind}.csv", *store).exit_code == 0

    told = riskengine("load", "trades", "nordhafen.txt", "--delimiter", "pipe", "--skip", "3", "--dry-run", *store).stderr
    assert "lacks trade_id, ts, instrument, desk, side, quantity, price" in told
    assert "near ones are mapped by --columns quantity=Qty" in told

    told = riskengine("check-mapping", "first.toml", "--against", "nordhafen.txt").stderr
    assert "nordhafen.txt:5: ts: is not a time: '06-Jan-2025 09:31:07'" in told

    checked = riskengine("check-mapping", "nordhafen.toml", "--against", "nordhafen.txt")
    assert "ts 2025-01-06T14:31:07Z, instrument ACME, desk EQUITIES-1, side buy, quantity 1200" in checked.stdout
    assert "nordhafen.txt:9: total: is 10,130.00, but quantity x price is 10310" in checked.stderr

    words = ("load", "trades", "nordhafen.txt", "--mapping", "nordhafen.toml", "--alias", "names.csv", *store)
    dry = riskengine(*words, "--dry-run")
    assert dry.stdout.endswith("2 inserted, 0 updated, 0 duplicate, 2 refused, nothing stored: a dry run\n")
    assert "unknown instrument 'ACNE': did you mean 'ACME'? (--alias FILE gives their names ours)" in dry.stderr
    assert riskengine(*words, "--refused", "refused.csv").stdout.endswith("2 inserted, 0 updated, 0 duplicate, 2 refused\n")

    mended = riskengine("load", "trades", "refused_mended.csv", *store)
    assert (mended.exit_code, mended.stdout) == (0, "trades: 1 lines, 1 inserted, 0 updated, 0 duplicate, 0 refused\n")
    assert "2 duplicate, 2 refused" in riskengine(*words).stdout

    state = riskengine("rebuild", *store).stdout
    assert "3 applied" in state
