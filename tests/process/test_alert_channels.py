"""Messages over real sockets: a webhook and an SMTP server take them, refuse them, or are not there; no secret is told."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskengine.config import AlertsConfig, Config, check_config
from riskengine.errors import ConfigError
from riskengine.process import alert_channels
from riskengine.process.alert_channels import MailChannel, NotDelivered, WebhookChannel, open_channels
from riskengine.process.alert_events import BEGAN, AlertCondition, AlertEvent
from riskengine.process.alert_messages import AlertMessage
from tests.certificates import make_certificate
from tests.receivers import MailServer, Webhook, context_of, mail_server, webhook
from tests.world import NOON

CONDITION = AlertCondition("breach:LOSS:EQ1", "breaches", "hard breach of LOSS by EQ1", "total_pnl -700.00 at worst", True, NOON)
MESSAGE = AlertMessage("7-1", "desk", (AlertEvent(BEGAN, NOON, CONDITION),), 1, False, NOON)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RISKENGINE_ALERT_WEBHOOK", "RISKENGINE_SMTP_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with mail_server() as found:
        yield found


def mailing(server: MailServer, **settings: object) -> AlertsConfig:
    usual = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"}
    people = {"mail_from": "risk@example.com", "mail_to": ("ann@example.com", "bob@example.com")}
    return AlertsConfig(**(usual | people | settings))  # type: ignore[arg-type]


def test_a_webhook_gets_json_with_a_text_for_people(hook: Webhook) -> None:
    assert WebhookChannel(hook.url).send(MESSAGE) == ""
    [(path, headers, body)] = hook.posts
    assert (path, headers["Content-Type"]) == ("/hook/secret", "application/json")
    assert body["text"].startswith("[desk] hard breach of LOSS by EQ1\n2026-03-04")
    assert (body["id"], body["total"], body["quiet_hours"]) == ("7-1", 1, False)
    [event] = body["events"]
    assert (event["what"], event["key"], event["ts"], event["urgent"]) == ("began", "breach:LOSS:EQ1", NOON, True)


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_what_a_webhook_does_not_take_is_not_delivered_and_no_redirect_is_followed(hook: Webhook, status: int) -> None:
    hook.answers = [status]
    with pytest.raises(NotDelivered, match=rf"^127\.0\.0\.1 answers {status}$"):
        WebhookChannel(hook.url).send(MESSAGE)
    assert hook.posts == []


def test_a_webhook_that_is_not_there_is_told_without_its_secret() -> None:
    with webhook() as gone:
        url = gone.url
    with pytest.raises(NotDelivered) as caught:
        WebhookChannel(url).send(MESSAGE)
    assert "refused" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_mail_is_plain_text_to_all_recipients(mails: MailServer) -> None:
    assert MailChannel(mailing(mails), "").send(MESSAGE) == ""
    [mail] = mails.mails
    assert mails.envelopes == [("risk@example.com", ["ann@example.com", "bob@example.com"])]
    assert (mail["Subject"], mail["Message-ID"]) == ("[desk] hard breach of LOSS by EQ1", "<7-1@desk.riskengine>")
    assert mail.get_content_type() == "text/plain"
    assert "total_pnl -700.00 at worst" in mail.get_content()
    assert mails.logins == []


def test_a_recipient_that_is_refused_is_told_and_the_others_have_the_mail(mails: MailServer) -> None:
    mails.refuses = {"bob@example.com"}
    assert MailChannel(mailing(mails), "").send(MESSAGE) == "127.0.0.1 refuses bob@example.com"
    assert mails.envelopes == [("risk@example.com", ["ann@example.com"])]
    mails.refuses = {"ann@example.com", "bob@example.com"}
    with pytest.raises(NotDelivered):
        MailChannel(mailing(mails), "").send(MESSAGE)


def test_a_busy_server_and_one_that_is_not_there_are_told_with_their_reason(mails: MailServer) -> None:
    mails.busy = 1
    with pytest.raises(NotDelivered, match=r"^127\.0\.0\.1: 451 later$"):
        MailChannel(mailing(mails), "").send(MESSAGE)
    assert MailChannel(mailing(mails), "").send(MESSAGE) == ""
    with mail_server() as gone:
        pass
    with pytest.raises(NotDelivered, match="refused"):
        MailChannel(mailing(gone), "").send(MESSAGE)


def test_a_user_logs_in_and_no_password_goes_to_a_server_without_tls(mails: MailServer) -> None:
    MailChannel(mailing(mails, smtp_user="risk"), "hunter2").send(MESSAGE)
    assert mails.logins == ["\0risk\0hunter2"]
    with pytest.raises(NotDelivered) as caught:
        MailChannel(mailing(mails, smtp_user="risk", smtp_security="starttls"), "hunter2").send(MESSAGE)
    assert "hunter2" not in str(caught.value)
    assert len(mails.logins) == 1
    with pytest.raises(ConfigError, match="a password is not sent in the clear"):
        check_config(Config(alerts=mailing(mails, smtp_user="risk")))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    paths = str(folder / "server.pem"), str(folder / "server.key")
    make_certificate(*paths)
    return paths


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_password_goes_over_tls_to_a_server_whose_certificate_is_trusted_alone(
    certificate: tuple[str, str], security: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(*certificate)
    with mail_server(**{security: context}) as server:
        channel = MailChannel(mailing(server, smtp_user="risk", smtp_security=security), "hunter2")
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            channel.send(MESSAGE)
        assert (server.logins, server.mails) == ([], [])
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        assert channel.send(MESSAGE) == ""
        assert server.logins == ["\0risk\0hunter2"]
        assert len(server.mails) == 1


def test_a_webhook_by_https_is_trusted_by_its_certificate_alone(
    certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook(context_of(*certificate)) as hook:
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            WebhookChannel(hook.url).send(MESSAGE)
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        assert WebhookChannel(hook.url).send(MESSAGE) == ""
        assert len(hook.posts) == 1


def test_servers_that_never_answer_are_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_channels, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(NotDelivered, match="timed out"):
            WebhookChannel(f"http://127.0.0.1:{port}/").send(MESSAGE)
        server = MailServer()
        server.port = port
        with pytest.raises(NotDelivered, match="timed out"):
            MailChannel(mailing(server), "").send(MESSAGE)
        assert time.monotonic() - began < 5.0


# -- the configuration ---------------------------------------------------------------------------------------------


def test_without_a_webhook_and_a_server_there_is_no_channel() -> None:
    assert open_channels(AlertsConfig()) == []


def test_secrets_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: Webhook) -> None:
    file = tmp_path / "url"
    file.write_text(f"{hook.url}\n")
    [channel] = open_channels(AlertsConfig(webhook_url_file=str(file)))
    channel.send(MESSAGE)
    monkeypatch.setenv("RISKENGINE_ALERT_WEBHOOK", f"{hook.url}/other")
    [channel] = open_channels(AlertsConfig(webhook_url_file=str(file)))
    channel.send(MESSAGE)
    assert [path for path, _, _ in hook.posts] == ["/hook/secret", "/hook/secret/other"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read: No such file"), ("", "is empty"), ("ftp://x/y", "must be a URL"), ("x", "must be")],
)
def test_a_webhook_file_that_says_nothing_is_refused_at_the_start(tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=reason):
        open_channels(AlertsConfig(webhook_url_file=str(file)))


def test_a_user_without_a_password_is_refused(mails: MailServer) -> None:
    with pytest.raises(ConfigError, match="its password is missing"):
        open_channels(mailing(mails, smtp_user="risk"))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"about": ()}, "alerts.about must name"),
        ({"about": ("breach",)}, "alerts.about must name"),
        ({"quiet_begin": "22:00"}, "two times of day"),
        ({"quiet_begin": "22:00", "quiet_end": "22:00"}, "two times of day"),
        ({"quiet_begin": "25:00", "quiet_end": "07:00"}, "two times of day"),
        ({"quiet_zone": "Mars/Olympus"}, "must be a zone"),
        ({"smtp_host": "mail"}, "mail_from and alerts.mail_to are missing"),
        ({"mail_to": ("ann",)}, "must be addresses"),
        ({"mail_to": ("ann@example.com\nBcc: eve@example.com",)}, "must be addresses"),
        ({"name": "a desk"}, "alerts.name must be"),
        ({"settle_s": 0.5}, "alerts.settle_s must be"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_config(Config(alerts=AlertsConfig(**settings)))  # type: ignore[arg-type]
