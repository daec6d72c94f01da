"""The configuration: the commented file agrees with the code, and an error names its file and setting."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from riskengine.config import Config, MoveLimits, check_config, load_config, without_password
from riskengine.errors import ConfigError

FOLDER = Path(__file__).resolve().parent.parent / "config"
DEFAULT = FOLDER / "default.toml"


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "desk.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_no_file_means_the_defaults():
    assert load_config(None) == Config()


def test_an_empty_file_means_the_defaults(tmp_path):
    assert load_config(written(tmp_path, "")) == Config()


def test_the_defaults_pass_their_own_checks():
    check_config(Config())


def test_the_default_file_says_what_the_code_does():
    assert load_config(DEFAULT) == Config()


def names_in(table: Any, before: str = "") -> set[str]:
    """The full names of all settings of a table and of the tables in it."""
    if not isinstance(table, dict):
        return {before}
    return {name for key, value in table.items() for name in names_in(value, f"{before}.{key}")}


def test_the_default_file_mentions_every_setting_and_no_other():
    # Settings that are off by default stand in the file behind a "#", with an example.
    text = re.sub(r"^# (\w+ = )", r"\1", DEFAULT.read_text(), flags=re.MULTILINE)
    assert names_in(tomllib.loads(text)) == names_in(msgspec.to_builtins(Config()))


def test_the_examples_of_the_default_file_are_valid(tmp_path):
    text = re.sub(r"^# (\w+ = )", r"\1", DEFAULT.read_text(), flags=re.MULTILINE)
    marks = load_config(written(tmp_path, text)).marks
    assert marks.max_cross_bp is not None
    assert isinstance(marks.max_move, MoveLimits)


def test_every_setting_of_the_default_file_is_explained():
    lines = DEFAULT.read_text().splitlines()
    settings = [number for number, line in enumerate(lines) if re.match(r"(# )?\w+ = ", line)]
    bare = [lines[number] for number in settings if not lines[number - 1].startswith("#") and number - 1 not in settings]
    assert bare == []


def test_the_production_example_is_valid_and_writes_json():
    config = load_config(FOLDER / "production.toml")
    assert config.store.url.startswith("postgresql://")
    assert config.log.format == "json"


def test_a_file_needs_only_what_differs(tmp_path):
    config = load_config(written(tmp_path, "[engine]\nbeat_ms = 50\n[marks]\nmax_move = 0.1\n"))
    assert (config.engine.beat_ms, config.marks.max_move) == (50, 0.1)
    assert config.server == Config().server


@pytest.mark.parametrize(
    "text",
    [b"\xef\xbb\xbf[engine]\nbeat_ms = 50\n", b"[engine]\r\nbeat_ms = 50\r\n"],
    ids=["byte-order mark", "Windows line ends"],
)
def test_what_editors_on_windows_write_is_read(tmp_path, text):
    assert load_config(written(tmp_path, text)).engine.beat_ms == 50


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[engin]\n", "engin"),
        ("beat_ms = 100\n", "beat_ms"),
        ("[engine]\nbeat = 100\n", "[engine] has no setting beat"),
        ("[server]\nhosts = []\n", "[server] has no setting hosts"),
        ("[server]\nallowed_host = []\n", "[server] has no setting allowed_host: did you mean allowed_hosts?"),
        ("[mark]\nstale_after_s = 1\n", "there is no section [mark]: did you mean [marks]?"),
    ],
)
def test_an_unknown_setting_is_named(tmp_path, text, named):
    message = refusal(written(tmp_path, text))
    assert "there is no section" in message or "has no setting" in message
    assert named in message


@pytest.mark.parametrize("host", ["https://risk.example.com", "risk.example.com/x", "", "a b", "host:port"])
def test_an_allowed_host_is_a_name_or_an_address(tmp_path, host):
    assert "server.allowed_hosts must be names" in refusal(written(tmp_path, f'[server]\nallowed_hosts = ["{host}"]\n'))


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ('[engine]\nbeat_ms = "100"\n', "engine.beat_ms"),
        ("[engine]\nbeat_ms = 100.5\n", "engine.beat_ms"),
        ("[engine]\nbeat_ms = true\n", "engine.beat_ms"),
        ("[engine]\nday_boundary = 17:00:00\n", "engine.day_boundary"),
        ("[marks]\nmax_move = [0.1]\n", "marks.max_move"),
        ('[server]\norigins = "https://a.example"\n', "server.origins"),
        ("[server]\norigins = [1]\n", "server.origins"),
        ('[log]\nformat = "xml"\n', "log.format"),
        ("engine = 5\n", "engine"),
    ],
)
def test_a_wrong_type_names_the_setting(tmp_path, text, setting):
    assert setting in refusal(written(tmp_path, text))


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("engine.reporting_currency", ['"usd"', '"US"', '"U1D"', '"ÄÖÜ"', '"USD\\n"']),
        ("engine.beat_ms", ["9", "10001", "-100"]),
        ("engine.history_days", ["-1", "3651"]),
        ("engine.tolerance_s", ["-0.1", "3601", "nan", "inf"]),
        ("engine.future_limit_s", ["0", "3601", "nan"]),
        ("engine.day_boundary", ['"24:00"', '"17:60"', '"5:00"', '""', '"17:00\\n"']),
        ("engine.day_zone", ['"America/Nowhere"', '""', '"../etc/passwd"', '"America"', '"/etc/localtime"']),
        ("marks.stale_after_s", ["0", "inf", "nan"]),
        ("marks.max_cross_bp", ["-1", "inf", "nan"]),
        ("marks.max_move", ["-0.1", "1e400", "nan", "1001"]),
        ("marks.max_move.fx", ["-0.1", "1e400", "nan", "1001"]),
        ("trades.off_market", ["-0.1", "inf"]),
        ("trades.off_market.future", ["-0.1", "inf"]),
        ("marks.suspect_release_s", ["-1", "inf"]),
        ("marks.store_every_s", ["0", "inf"]),
        ("store.url", ['"riskengine.db"', '"mysql://a/b"', '""']),
        ("store.batch_trades", ["0", "10001"]),
        ("server.host", ['""']),
        ("server.port", ["-1", "65536", "1" * 30]),
        ("server.origins", ['["*"]', '["a.example"]', '["https://a.example/x"]', '["file:///x"]']),
        ("server.max_body_bytes", ["1023", "1073741825"]),
        ("server.max_hz", ["0.1", "11", "nan"]),
        ("server.heartbeat_ms", ["99", "60001"]),
        ("server.trade_push_ms", ["0", "5001"]),
        ("server.snapshot_history_s", ["-1", "61", "nan"]),
        ("inbox.max_trades", ["0", "10000001"]),
    ],
)
def test_a_value_that_cannot_work_names_the_setting(tmp_path, setting, values):
    section, _, key = setting.rpartition(".")
    for value in values:
        assert refusal(written(tmp_path, f"[{section}]\n{key} = {value}\n")).startswith(f"{setting} must ")


@pytest.mark.parametrize(
    "text",
    [
        "[engine]\nbeat_ms = 10\n[server]\nport = 0\nmax_hz = 10\nsnapshot_history_s = 0\n",
        '[engine]\nreporting_currency = "EUR"\nday_boundary = "00:00"\nday_zone = "UTC"\ntolerance_s = 0\n',
        '[store]\nurl = "postgresql://u:p@h/d"\n[marks]\nmax_cross_bp = 0\n',
        '[server]\norigins = ["http://localhost:5173", "https://risk.example.com"]\n',
    ],
)
def test_the_ends_of_the_ranges_are_allowed(tmp_path, text):
    load_config(written(tmp_path, text))


def test_a_limit_on_prices_is_one_number_for_all_kinds_or_a_table_that_names_what_differs(tmp_path):
    assert load_config(written(tmp_path, "[marks]\nmax_move = 0\n[trades]\noff_market = 1\n")).trades.off_market == 1
    limits = load_config(written(tmp_path, "[marks.max_move]\nfx = 0\n")).marks.max_move
    assert limits == MoveLimits(fx=0.0)
    assert refusal(written(tmp_path, "[marks.max_move]\nfxx = 0\n")) == "[marks.max_move] has no setting fxx"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[engine\n", "line 1"),
        (b"[engine]\nbeat_ms = 1\nbeat_ms = 2\n", "line 3"),
        (b"\xff\xfe[\x00e\x00", "not UTF-8 text"),
        (b'[store]\nurl = "caf\xe9"\n', "not UTF-8 text"),
        (b"[engine]\nbeat_ms = " + b"9" * 5_000, "4300 digits"),
        (b"x = " + b"[" * 100_000, ""),
    ],
    ids=["unfinished", "twice", "UTF-16", "Latin-1", "endless number", "endless nesting"],
)
def test_what_is_no_toml_is_refused_with_the_place(tmp_path, text, reason):
    assert reason in refusal(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    assert refusal(tmp_path / "absent.toml") == "cannot be read: No such file or directory"


def test_a_folder_is_not_a_file(tmp_path):
    assert refusal(tmp_path) == "cannot be read: Is a directory"


def test_a_refused_store_address_is_not_repeated(tmp_path):
    assert "secret" not in refusal(written(tmp_path, '[store]\nurl = "mysql://u:secret@h/d"\n'))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///riskengine.db", "sqlite:///riskengine.db"),
        ("sqlite:////var/lib/desk@home:1.db", "sqlite:////var/lib/desk@home:1.db"),
        ("postgresql://risk@db:5432/desk", "postgresql://risk@db:5432/desk"),
        ("postgresql://risk:secret@db:5432/desk", "postgresql://risk:***@db:5432/desk"),
        ("postgresql://:secret@db/desk", "postgresql://:***@db/desk"),
        ("postgresql://risk:@db/desk", "postgresql://risk:***@db/desk"),
        ("postgresql://secret:secret@db/desk", "postgresql://secret:***@db/desk"),
        ("postgresql://risk:se:cr@et@db/desk", "postgresql://risk:***@db/desk"),
        ("postgresql://risk:se/cr?et#@db/desk", "postgresql://risk:***@db/desk"),
        ("postgresql://risk:secret@[::1]:5432/desk", "postgresql://risk:***@[::1]:5432/desk"),
        ("postgresql://risk:secret@[bad/desk", "postgresql://risk:***@[bad/desk"),
        ("postgresql://db/desk?user=risk&password=secret&a=b", "postgresql://db/desk?user=risk&password=***&a=b"),
        ("postgresql://db/desk?sslpassword=secret", "postgresql://db/desk?sslpassword=***"),
    ],
)
def test_a_shown_address_hides_its_password_and_nothing_else(url, shown):
    assert without_password(url) == shown
