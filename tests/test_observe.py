"""Logging goes to stderr in one of two forms; metrics are counted without loss and rendered for Prometheus."""

import json
import logging
import threading

import pytest

from riskengine.observe import (
    EVICTIONS,
    MAX_SOURCES,
    MAX_WARNING_KINDS,
    METRICS_CONTENT_TYPE,
    STATES,
    TRADE_OUTCOMES,
    Metrics,
    configure_logging,
    get_logger,
)


@pytest.fixture(autouse=True)
def logging_as_before():
    names = ("", "riskengine", "uvicorn.access")
    before = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_json_is_one_object_a_line_with_time_level_logger_and_event(capsys):
    configure_logging("json", "info")
    get_logger("riskengine.process").info("store_opened", trades=3, url="a\nb")
    (line,) = lines(capsys)
    record = json.loads(line)
    assert record.pop("time").endswith("Z")
    assert record == {
        "event": "store_opened",
        "level": "info",
        "logger": "riskengine.process",
        "trades": 3,
        "url": "a\nb",
    }


def test_console_lines_are_for_people_and_without_colours_where_no_terminal_is(capsys):
    configure_logging("console", "info")
    get_logger("riskengine.process").info("store_opened", trades=3)
    (line,) = lines(capsys)
    assert "store_opened" in line
    assert "trades=3" in line
    assert "\x1b" not in line


def test_what_lies_below_the_level_is_not_written(capsys):
    configure_logging("json", "warning")
    log = get_logger("riskengine.process")
    log.info("unheard")
    log.warning("heard")
    assert [json.loads(line)["event"] for line in lines(capsys)] == ["heard"]


def test_the_last_configuration_counts_and_nothing_is_written_twice(capsys):
    log = get_logger("riskengine.process")
    configure_logging("json", "error")
    configure_logging("json", "debug")
    log.debug("once")
    assert [json.loads(line)["event"] for line in lines(capsys)] == ["once"]


def test_libraries_write_in_the_same_form_and_never_a_line_per_frame_or_request(capsys):
    configure_logging("json", "debug")
    logging.getLogger("uvicorn.error").info("started on %s", "127.0.0.1")
    logging.getLogger("websockets.server").debug("a frame")
    logging.getLogger("uvicorn.access").info("a request")
    (line,) = lines(capsys)
    record = json.loads(line)
    assert record["event"] == "started on 127.0.0.1"
    assert record["logger"] == "uvicorn.error"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_is_written_without_the_values_of_variables(capsys, form):
    configure_logging(form, "info")
    password = "".join(["se", "cret"])
    try:
        raise ValueError(len(password))
    except ValueError:
        get_logger("riskengine.process").exception("went_wrong")
    text = "\n".join(lines(capsys))
    assert "Traceback" in text
    assert "ValueError: 6" in text
    assert "secret" not in text


def test_before_it_is_configured_nothing_reaches_stdout(capsys):
    get_logger("riskengine.process").warning("early")
    lines(capsys)


def sample(metrics: Metrics, line: str) -> float:
    rendered = metrics.render().decode()
    (value,) = [text.rpartition(" ")[2] for text in rendered.splitlines() if text.startswith(f"{line} ")]
    return float(value)


def test_every_outcome_of_a_trade_is_rendered_from_the_start():
    metrics = Metrics()
    assert [sample(metrics, f'riskengine_trades_total{{outcome="{outcome}"}}') for outcome in TRADE_OUTCOMES] == [0.0] * len(
        TRADE_OUTCOMES
    )


def test_a_publication_sets_number_time_and_duration():
    metrics = Metrics()
    metrics.record_publish(seq=7, ts=1_700_000_000_500_000, seconds=0.003)
    assert sample(metrics, "riskengine_snapshot_seq") == 7
    assert sample(metrics, "riskengine_last_publish_timestamp_seconds") == 1_700_000_000.5
    assert sample(metrics, "riskengine_publish_duration_seconds_count") == 1
    assert sample(metrics, 'riskengine_publish_duration_seconds_bucket{le="0.0025"}') == 0
    assert sample(metrics, 'riskengine_publish_duration_seconds_bucket{le="0.005"}') == 1


def test_every_name_carries_the_prefix():
    names = {line.split()[2] for line in Metrics().render().decode().splitlines() if line.startswith("# TYPE")}
    assert len(names) >= 10
    assert all(name.startswith("riskengine_") for name in names)


def test_two_engines_in_one_process_count_apart():
    one, other = Metrics(), Metrics()
    one.beats.inc()
    assert (sample(one, "riskengine_beats_total"), sample(other, "riskengine_beats_total")) == (1, 0)


def test_threads_lose_no_count_while_another_renders():
    metrics = Metrics()

    def count() -> None:
        for _ in range(2_000):
            metrics.ticks_accepted.inc(5)
            metrics.inbox_depth.inc()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        metrics.render()
    for thread in threads:
        thread.join()
    assert sample(metrics, "riskengine_ticks_accepted_total") == 40_000
    assert sample(metrics, "riskengine_inbox_depth") == 8_000


def test_the_content_type_is_that_of_the_text_format():
    assert METRICS_CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


def test_gauges_that_somebody_else_keeps_are_asked_for_before_each_rendering():
    metrics = Metrics()
    metrics.refresh = lambda: metrics.publish_age.set(3)
    assert sample(metrics, "riskengine_publish_age_seconds") == 3


def feed(source, age_ms, *, alive=True, missing=0, skew=None):
    said = {"gap": missing > 0, "missing_count": missing, "anew": False, "clock_skew_ms": skew}
    return {"source": source, "age_ms": age_ms, "alive": alive} | said


def test_what_is_missing_and_clocks_that_run_ahead_are_gauges():
    metrics = Metrics()
    metrics.set_feeds([feed("a", 1, missing=3), feed("b", 1, skew=55_000), feed("c", None, alive=False)], {"b": 55_000})
    assert sample(metrics, 'riskengine_feed_missing_trades{source="a"}') == 3
    assert sample(metrics, "riskengine_feeds_gapped") == 1
    assert sample(metrics, 'riskengine_clock_skew_seconds{source="b"}') == 55
    assert sample(metrics, "riskengine_clocks_ahead") == 1
    assert sample(metrics, "riskengine_feeds_silent") == 1


def test_the_ages_of_sources_are_bounded_and_those_that_are_gone_are_shown_no_more():
    metrics = Metrics()
    metrics.set_feeds([feed(f"s{number}", 500 * number, alive=number >= 7) for number in range(1_000)], {})
    assert metrics.render().decode().count("riskengine_feed_age_seconds{") == MAX_SOURCES
    assert sample(metrics, 'riskengine_feed_age_seconds{source="s3"}') == 1.5
    assert sample(metrics, "riskengine_feeds_silent") == 7
    metrics.set_feeds([feed("other", 2_000)], {})
    assert metrics.render().decode().count("riskengine_feed_age_seconds{") == 1


def test_the_stream_is_counted_and_every_reason_is_there_from_the_start():
    metrics = Metrics()
    metrics.conflated_snapshots.inc(5)
    metrics.evictions["no pong"].inc()
    metrics.publish_to_send_seconds.observe(0.003)
    assert [sample(metrics, f'riskengine_evictions_total{{reason="{reason}"}}') for reason in EVICTIONS] == [
        reason == "no pong" for reason in EVICTIONS
    ]
    assert [metrics.value(metrics.conflated_snapshots), metrics.value(metrics.evictions["no pong"])] == [5, 1]
    assert sample(metrics, "riskengine_conflated_snapshots_total") == 5
    assert sample(metrics, 'riskengine_publish_to_send_seconds_bucket{le="0.005"}') == 1


@pytest.mark.parametrize("form", ["json", "console"])
def test_control_characters_of_strangers_never_reach_the_log_raw(capsys, form):
    configure_logging(form, "info")
    log = get_logger("riskengine.process")
    log.info("a_name", name="\x9b2J\u202eabc\x1b[0m\x7f")
    logging.getLogger("uvicorn.error").info("from %s", "\x9b1m")
    try:
        raise ValueError("\x9b2J\u202e")
    except ValueError:
        log.exception("failed")
    text = "".join(lines(capsys))
    assert text.isprintable()
    assert "9b" in text


def test_lost_lines_are_counted_in_the_metrics(monkeypatch):
    metrics = Metrics()
    monkeypatch.setattr("riskengine.observe.lost_log_lines", lambda: (3, True))
    assert b"riskengine_log_lines_lost_total 3.0" in metrics.render()
    monkeypatch.setattr("riskengine.observe.lost_log_lines", lambda: (5, True))
    assert b"riskengine_log_lines_lost_total 5.0" in metrics.render()


def test_the_state_is_one_of_its_gauges():
    metrics = Metrics()
    metrics.set_state("degraded")
    text = metrics.render().decode()
    assert 'riskengine_state{state="degraded"} 1.0' in text
    assert text.count("riskengine_state{") == len(STATES) and text.count("} 1.0\n") == 1


def test_a_warning_is_a_series_that_ends_at_0_and_their_number_is_bounded():
    metrics = Metrics()
    metrics.set_warnings(["breaks", "gone"])
    metrics.set_warnings(["gone"])
    assert 'riskengine_warnings{kind="breaks"} 0.0' in metrics.render().decode()
    assert 'riskengine_warnings{kind="gone"} 1.0' in metrics.render().decode()
    metrics.set_warnings(str(number) for number in range(1_000))
    assert metrics.render().decode().count("riskengine_warnings{") == MAX_WARNING_KINDS


def test_exceptions_of_a_kind_that_are_over_are_no_series_any_more():
    metrics = Metrics()
    metrics.set_exceptions({"conflict": 2, "parked": 1})
    metrics.set_exceptions({"conflict": 3})
    assert [line for line in metrics.render().decode().splitlines() if line.startswith("riskengine_exceptions{")] == [
        'riskengine_exceptions{kind="conflict"} 3.0'
    ]
