"""The configuration: its settings, their defaults and their limits.

`config/default.toml` explains every setting; a test compares its values with the defaults here.
"""

import re
import tomllib
import zoneinfo
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from riskengine.errors import ConfigError
from riskengine.nearest import nearest

DEFAULT_PORT = 8321
STORE_SCHEMES = ("sqlite:///", "postgresql://")

_ORIGIN = re.compile(r"https?://[^\s/?#@]+")
_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?", re.ASCII)


class EngineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[engine]: rules that decide the numbers on the screens."""

    reporting_currency: str = "USD"
    beat_ms: int = 100
    tolerance_s: float = 5.0
    future_limit_s: float = 60.0
    self_audit_s: float = 60.0
    history_days: int = 5
    start_from_close: bool = True
    day_boundary: str = "17:00"
    day_zone: str = "America/New_York"


class MoveLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[marks.max_move]: how far one quote may move a mark, by kind, as a fraction of the mark. 0: any distance."""

    fx_g10: float = 0.005
    fx: float = 0.03
    metal: float = 0.02
    equity: float = 0.1
    crypto: float = 0.1
    future: float = 0.05
    fx_option: float = 0.0
    equity_option: float = 0.0


class MarksConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[marks]: which quotes become marks, and when a mark is stale. None switches that check off."""

    stale_after_s: float = 60.0
    max_cross_bp: float | None = None
    suspect_release_s: float = 2.0
    store_every_s: float = 1.0
    max_move: float | MoveLimits = MoveLimits()


class OffMarketLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[trades.off_market]: how far a trade may lie from the mark of its time without a notice, by kind. 0: any distance."""

    fx_g10: float = 0.003
    fx: float = 0.01
    metal: float = 0.01
    equity: float = 0.03
    crypto: float = 0.02
    future: float = 0.01
    fx_option: float = 0.25
    equity_option: float = 0.25


KindLimits = MoveLimits | OffMarketLimits
"""Limits by kind. `fx = 0` switches that of the G10 pairs off too."""


class TradesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[trades]: which trades are listed although they count."""

    off_market: float | OffMarketLimits = OffMarketLimits()


class OptionsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[options]: when the inputs of options and forwards are stale, and how they are valued."""

    vol_stale_after_s: float = 900.0
    rate_stale_after_s: float = 259_200.0
    greeks_stale_after_s: float = 300.0
    greeks_max_spot_move: float = 0.01
    decay_s: float = 10.0
    decay_near_s: float = 1.0
    near_expiry_h: float = 24.0
    surface_every_s: float = 600.0
    pin_band: float = 0.003
    forward_discounting: bool = True


class ScenariosConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[scenarios]: VaR, expected shortfall and what-if."""

    days: int = 500
    min_days: int = 250
    level: float = 0.99
    intraday_minutes: int = 60
    intraday_level: float = 0.95
    may_be_negative: tuple[str, ...] = ()
    max_waiting: int = 16
    max_trades: int = 1_000

    @property
    def level_decimal(self) -> Decimal:
        """`level` as it is written: a decimal, not a double (ACCOUNTING section 7)."""
        return Decimal(repr(self.level))

    @property
    def intraday_decimal(self) -> Decimal:
        """`intraday_level` the same way."""
        return Decimal(repr(self.intraday_level))


class AlertsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[alerts]: what is told by webhook and e-mail, and when not. Without a webhook and an SMTP server nothing is."""

    name: str = "riskengine"
    about: tuple[str, ...] = ("breaches", "warnings", "lights")
    breaches: Literal["all", "hard"] = "all"
    holds_s: float = 5.0
    settle_s: float = 60.0
    gather_s: float = 10.0
    quiet_begin: str = ""
    quiet_end: str = ""
    quiet_zone: str = "UTC"
    hard_in_quiet: bool = True
    webhook_url_file: str = ""
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password_file: str = ""
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[store]: the database, the size of a transaction, and the folder of the witness file."""

    url: str = "sqlite:///riskengine.db"
    batch_trades: int = 256
    witness: str = ""


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[server]: sockets and their limits."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    max_body_bytes: int = 1_048_576
    max_hz: float = 5.0
    heartbeat_ms: int = 1_000
    trade_push_ms: int = 20
    snapshot_history_s: float = 2.0
    tls_certificate: str = ""
    tls_key: str = ""


class AccessConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[access]: who may connect. Without a token file: this machine alone, with every role."""

    tokens_file: str = ""
    max_connections: int = 50


class IngestConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[ingest]: the rate of ticks per source beyond which ticks are conflated by instrument. 0: no limit."""

    ticks_per_s: int = 500_000
    burst_ticks: int = 500_000


class ReconcileConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[reconcile]: how often engine and store are compared, and whether keys that the self-audit set aside are repaired."""

    every_s: float = 900.0
    repair_self_audit: bool = True


class InboxConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[inbox]: how many trades may wait for the store and the writer."""

    max_trades: int = 100_000


class CurvesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[curves]: the samples behind `/v1/history`: interval, number of nodes, retention in memory and in the store."""

    sample_s: float = 60.0
    samples: int = 1_440
    max_nodes: int = 1_000
    keep_days: float = 2.0


class JournalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[journal]: what every screen said, for reads with `as_of=`: how often it is noted, for how long it is kept."""

    every_s: float = 1.0
    whole_s: float = 60.0
    keep_days: float = 5.0
    moments: int = 4
    max_waiting: int = 8


class ExplainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[explain]: why P&L moved: how much may be left unexplained, how often the day is looked at for that."""

    tolerance: float = 25_000.0
    watch_s: float = 60.0
    max_waiting: int = 8


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[log]: format (JSON for machines, coloured lines for people) and level."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; each section is the TOML table of the same name.

    `price_units` are the units in which sources quote, by source and the instrument's currency (`records.currency_units`).
    """

    engine: EngineConfig = EngineConfig()
    marks: MarksConfig = MarksConfig()
    trades: TradesConfig = TradesConfig()
    options: OptionsConfig = OptionsConfig()
    scenarios: ScenariosConfig = ScenariosConfig()
    alerts: AlertsConfig = AlertsConfig()
    store: StoreConfig = StoreConfig()
    server: ServerConfig = ServerConfig()
    access: AccessConfig = AccessConfig()
    inbox: InboxConfig = InboxConfig()
    curves: CurvesConfig = CurvesConfig()
    journal: JournalConfig = JournalConfig()
    explain: ExplainConfig = ExplainConfig()
    ingest: IngestConfig = IngestConfig()
    reconcile: ReconcileConfig = ReconcileConfig()
    price_units: dict[str, dict[str, str]] = {}
    log: LogConfig = LogConfig()


def load_config(path: str | Path | None) -> Config:
    """Read a TOML file; None gives the defaults. Raises ConfigError, which names the file and the setting."""
    if path is None:
        return Config()
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    try:
        values = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or an integer of more digits than Python reads
        raise ConfigError(f"{path}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_setting_error(str(error))}") from None
    check_config(config, str(path))
    return config


def _setting_error(error: str) -> str:
    """An error of msgspec as a sentence about the setting."""
    reason, _, place = error.partition(" - at `$")
    setting = place.strip(".`")
    unknown = re.fullmatch("Object contains unknown field `(.*)`", reason)
    if unknown:
        name = unknown[1]
        table: Any = reduce(getattr, setting.split("."), Config()) if setting else Config()
        known = table.__struct_fields__
        near = nearest(name, known)
        meant = "" if near is None else f": did you mean {near}?" if setting else f": did you mean [{near}]?"
        return f"[{setting}] has no setting {name}{meant}" if setting else f"there is no section [{name}]{meant}"
    return f"{setting}: {reason[:1].lower()}{reason[1:]}" if setting else reason


_Rule = tuple[object, str, str]
"""Whether a value can work, its setting, and what the setting must be."""


def check_config(config: Config, where: str = "configuration") -> None:
    """Check the limits of every setting. Raises ConfigError for the first value outside them."""
    rules = (
        *_engine_rules(config.engine),
        *_mark_rules(config.marks),
        *_limit_rules(config.marks.max_move, "marks.max_move"),
        *_limit_rules(config.trades.off_market, "trades.off_market"),
        *_option_rules(config.options),
        *_scenario_rules(config.scenarios),
        *_alert_rules(config.alerts),
        *_store_rules(config.store),
        *_server_rules(config.server),
    )
    for holds, setting, reason in (*rules, *_other_rules(config)):
        if not holds:
            raise ConfigError(f"{where}: {setting} {reason}")


def _engine_rules(engine: EngineConfig) -> tuple[_Rule, ...]:
    return (
        (re.fullmatch("[A-Z]{3}", engine.reporting_currency), "engine.reporting_currency", "must be three capital letters"),
        (10 <= engine.beat_ms <= 10_000, "engine.beat_ms", "must be 10 to 10000"),
        (0 <= engine.tolerance_s <= 3600, "engine.tolerance_s", "must be 0 to 3600"),
        (0 < engine.future_limit_s <= 3600, "engine.future_limit_s", "must be above 0, at most 3600"),
        (engine.self_audit_s == 0 or 1 <= engine.self_audit_s <= 86_400, "engine.self_audit_s", "must be 0 (off) or 1 to 86400"),
        (0 <= engine.history_days <= 3650, "engine.history_days", "must be 0 (keep all trades in memory) to 3650"),
        (
            re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", engine.day_boundary),
            "engine.day_boundary",
            "must be a time of day, 00:00 to 23:59",
        ),
        (_is_zone(engine.day_zone), "engine.day_zone", "must be a zone of the tz database, such as America/New_York"),
    )


def _mark_rules(marks: MarksConfig) -> tuple[_Rule, ...]:
    return (
        (0 < marks.stale_after_s <= 604_800, "marks.stale_after_s", "must be above 0, at most 604800"),
        (marks.max_cross_bp is None or 0 <= marks.max_cross_bp <= 10_000, "marks.max_cross_bp", "must be 0 to 10000"),
        (0 <= marks.suspect_release_s <= 3600, "marks.suspect_release_s", "must be 0 to 3600"),
        (0 < marks.store_every_s <= 3600, "marks.store_every_s", "must be above 0, at most 3600"),
    )


def _option_rules(options: OptionsConfig) -> tuple[_Rule, ...]:
    ages = ("vol_stale_after_s", "rate_stale_after_s", "greeks_stale_after_s")
    steps = ("decay_s", "decay_near_s")
    return (
        *((0 < getattr(options, name) <= 31_536_000, f"options.{name}", "must be above 0, at most 31536000") for name in ages),
        *((0.1 <= getattr(options, name) <= 3600, f"options.{name}", "must be 0.1 to 3600") for name in steps),
        (options.decay_near_s <= options.decay_s, "options.decay_near_s", "must be at most options.decay_s"),
        (1 <= options.surface_every_s <= 86_400, "options.surface_every_s", "must be 1 to 86400"),
        (0 <= options.near_expiry_h <= 8760, "options.near_expiry_h", "must be 0 to 8760"),
        (0 <= options.greeks_max_spot_move <= 1, "options.greeks_max_spot_move", "must be 0 to 1, a fraction of the spot"),
        (0 <= options.pin_band <= 1, "options.pin_band", "must be 0 to 1, a fraction of the spot"),
    )


def _scenario_rules(scenarios: ScenariosConfig) -> tuple[_Rule, ...]:
    return (
        (2 <= scenarios.days <= 5_000, "scenarios.days", "must be 2 to 5000"),
        (2 <= scenarios.min_days <= scenarios.days, "scenarios.min_days", "must be 2 to scenarios.days"),
        (0.5 <= scenarios.level < 1, "scenarios.level", "must be 0.5 to below 1"),
        (2 <= scenarios.intraday_minutes <= 1_440, "scenarios.intraday_minutes", "must be 2 to 1440"),
        (0.5 <= scenarios.intraday_level < 1, "scenarios.intraday_level", "must be 0.5 to below 1"),
        (0 <= scenarios.max_waiting <= 10_000, "scenarios.max_waiting", "must be 0 to 10000"),
        (1 <= scenarios.max_trades <= 100_000, "scenarios.max_trades", "must be 1 to 100000"),
    )


def _alert_rules(alerts: AlertsConfig) -> tuple[_Rule, ...]:
    time_of_day = "([01][0-9]|2[0-3]):[0-5][0-9]"
    quiet = (alerts.quiet_begin, alerts.quiet_end)
    is_quiet = quiet == ("", "") or (all(re.fullmatch(time_of_day, each) for each in quiet) and quiet[0] != quiet[1])
    return (
        (re.fullmatch(r"[\w.-]{1,64}", alerts.name, re.ASCII), "alerts.name", "must be 1 to 64 letters, digits, dots and dashes"),
        (
            alerts.about and set(alerts.about) <= {"breaches", "warnings", "lights"},
            "alerts.about",
            "must name breaches, warnings or lights",
        ),
        (0 <= alerts.holds_s <= 3600, "alerts.holds_s", "must be 0 to 3600"),
        (1 <= alerts.settle_s <= 86_400, "alerts.settle_s", "must be 1 to 86400"),
        (0 <= alerts.gather_s <= 3600, "alerts.gather_s", "must be 0 to 3600"),
        (is_quiet, "alerts.quiet_begin", "and alerts.quiet_end must be two times of day, such as 22:00 and 07:00, or both empty"),
        (_is_zone(alerts.quiet_zone), "alerts.quiet_zone", "must be a zone of the tz database, such as Europe/London"),
        (1 <= alerts.smtp_port <= 65_535, "alerts.smtp_port", "must be 1 to 65535"),
        (
            not alerts.smtp_user or alerts.smtp_security != "none",
            "alerts.smtp_security",
            "must be starttls or tls with alerts.smtp_user: a password is not sent in the clear",
        ),
        (not alerts.smtp_host or (alerts.mail_from and alerts.mail_to), "alerts.mail_from", "and alerts.mail_to are missing"),
        (
            all(re.fullmatch(r"[^@\s,<>]+@[^@\s,<>]+", each) for each in (*alerts.mail_to, *filter(None, [alerts.mail_from]))),
            "alerts.mail_to",
            "and alerts.mail_from must be addresses such as desk@example.com",
        ),
    )


def _limit_rules(limits: float | KindLimits, setting: str) -> tuple[_Rule, ...]:
    """The rules of a limit that is one number for all kinds or a table by kind."""
    named = {"": limits} if isinstance(limits, int | float) else msgspec.structs.asdict(limits)
    reason = "must be 0 (off) to 1000, a fraction of the price"
    return tuple((0 <= limit <= 1_000, f"{setting}.{kind}" if kind else setting, reason) for kind, limit in named.items())


def _store_rules(store: StoreConfig) -> tuple[_Rule, ...]:
    return (
        (store.url.startswith(STORE_SCHEMES), "store.url", "must begin with " + " or ".join(STORE_SCHEMES)),
        (
            _names_a_store(store.url),
            "store.url",
            "must name a file or a database: sqlite:///desk.db, postgresql://host/desk",
        ),
        (1 <= store.batch_trades <= 10_000, "store.batch_trades", "must be 1 to 10000"),
    )


def _server_rules(server: ServerConfig) -> tuple[_Rule, ...]:
    return (
        (server.host, "server.host", "must not be empty"),
        (0 <= server.port <= 65_535, "server.port", "must be 0 to 65535"),
        (
            all(map(_ORIGIN.fullmatch, server.origins)),
            "server.origins",
            "must be origins such as https://risk.example.com, without a path",
        ),
        (
            all(map(_HOST.fullmatch, server.allowed_hosts)),
            "server.allowed_hosts",
            "must be names or addresses such as risk.example.com or 10.1.2.3:8321, without a scheme",
        ),
        (1_024 <= server.max_body_bytes <= 1_073_741_824, "server.max_body_bytes", "must be 1 KiB to 1 GiB"),
        (0.2 <= server.max_hz <= 10, "server.max_hz", "must be 0.2 to 10"),
        (100 <= server.heartbeat_ms <= 60_000, "server.heartbeat_ms", "must be 100 to 60000"),
        (1 <= server.trade_push_ms <= 5_000, "server.trade_push_ms", "must be 1 to 5000"),
        (0 <= server.snapshot_history_s <= 60, "server.snapshot_history_s", "must be 0 to 60"),
        (bool(server.tls_certificate) == bool(server.tls_key), "server.tls_certificate", "and server.tls_key go together"),
    )


def _other_rules(config: Config) -> tuple[_Rule, ...]:
    curves, journal, explain = config.curves, config.journal, config.explain
    return (
        (1 <= config.access.max_connections <= 10_000, "access.max_connections", "must be 1 to 10000"),
        (
            config.reconcile.every_s == 0 or 1 <= config.reconcile.every_s <= 86_400,
            "reconcile.every_s",
            "must be 0 (off) or 1 to 86400",
        ),
        (0.05 <= curves.sample_s <= 3_600, "curves.sample_s", "must be 0.05 to 3600"),
        (1 <= curves.samples <= 100_000, "curves.samples", "must be 1 to 100000"),
        (0 <= curves.max_nodes <= 10_000, "curves.max_nodes", "must be 0 to 10000"),
        (0 < curves.keep_days <= 3_650, "curves.keep_days", "must be above 0, at most 3650"),
        (journal.every_s == 0 or 0.1 <= journal.every_s <= 3_600, "journal.every_s", "must be 0 (off) or 0.1 to 3600"),
        (1 <= journal.whole_s <= 3_600, "journal.whole_s", "must be 1 to 3600"),
        (0 < journal.keep_days <= 3_650, "journal.keep_days", "must be above 0, at most 3650"),
        (1 <= journal.moments <= 1_000, "journal.moments", "must be 1 to 1000"),
        (1 <= journal.max_waiting <= 1_000, "journal.max_waiting", "must be 1 to 1000"),
        (0 <= explain.tolerance <= 1e15, "explain.tolerance", "must be 0 to 1e15"),
        (explain.watch_s == 0 or 1 <= explain.watch_s <= 86_400, "explain.watch_s", "must be 0 (off) or 1 to 86400"),
        (1 <= explain.max_waiting <= 1_000, "explain.max_waiting", "must be 1 to 1000"),
        (1 <= config.inbox.max_trades <= 10_000_000, "inbox.max_trades", "must be 1 to 10000000"),
        (0 <= config.ingest.ticks_per_s <= 100_000_000, "ingest.ticks_per_s", "must be 0 (no limit) to 100000000"),
        (1 <= config.ingest.burst_ticks <= 100_000_000, "ingest.burst_ticks", "must be 1 to 100000000"),
    )


def _names_a_store(url: str) -> bool:
    """Whether a PostgreSQL URL names its database: without a name libpq would guess one from the user's."""
    if url.startswith("sqlite:"):
        return True  # opening it reports a bad path
    parts = urlsplit(url)
    return bool(parts.path.strip("/")) or bool(parse_qs(parts.query).keys() & {"dbname", "service"})


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a relative path, a folder such as "America"
        return False
    return True


def without_password(url: str) -> str:
    """The store URL for a log or a screen: stars replace the password. A malformed URL loses more text, never less."""
    starred = re.sub(r"^([^:/?#]+://[^:@/?#]*:).*@", r"\1***@", url, flags=re.DOTALL)
    return re.sub(r"([?&](?:ssl)?password=)[^&#]*", r"\1***", starred, flags=re.IGNORECASE)
