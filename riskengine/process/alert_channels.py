"""The two ways of an alert out of the engine: a POST to a webhook, a mail by SMTP. Blocking; each on a thread of its own."""

import os
import smtplib
import ssl
from http.client import HTTPException
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from riskengine.config import AlertsConfig
from riskengine.errors import ConfigError
from riskengine.process.alert_messages import AlertMessage

TIMEOUT_S = 10.0

WEBHOOK_ENV = "RISKENGINE_ALERT_WEBHOOK"
PASSWORD_ENV = "RISKENGINE_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
"""Environment variables with the secrets, before the files of the configuration."""


class NotDelivered(Exception):
    """A message was not taken; the text says why, without a secret."""


class AlertChannel(Protocol):
    """Sends messages one by one. `name` is that of the channel in texts and counts."""

    name: str

    def send(self, message: AlertMessage) -> str:
        """Deliver a message; says which recipients were refused, "" for none. Raises NotDelivered.

        Blocks for some TIMEOUT_S at most; any thread.
        """
        ...


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: a webhook that has moved is to be told so, and not to get its secret sent elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


class WebhookChannel:
    """POSTs JSON to a URL, which is a secret: no text names more of it than the host."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or ""
        self._opener = build_opener(_NoRedirects())

    def send(self, message: AlertMessage) -> str:
        """See AlertChannel."""
        body = msgspec.json.encode(message.body())
        headers = {"Content-Type": "application/json", "User-Agent": "riskengine"}
        request = Request(self._url, body, headers, method="POST")  # noqa: S310 - its scheme is checked in open_channels
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                answer.read(1_000)
                return ""
        except HTTPError as error:
            error.close()
            raise NotDelivered(f"{self._host} answers {error.code}") from None
        except URLError as error:
            raise NotDelivered(f"{self._host}: {_reason(error.reason)}") from None
        except (OSError, HTTPException, ValueError) as error:  # a timeout while reading; an answer that is no HTTP
            raise NotDelivered(f"{self._host}: {_reason(error)}") from None


class MailChannel:
    """Sends mails by one SMTP server."""

    name = "email"

    def __init__(self, config: AlertsConfig, password: str) -> None:
        self._config = config
        self._password = password

    def send(self, message: AlertMessage) -> str:
        """See AlertChannel."""
        config = self._config
        try:
            with self._connected() as server:
                if config.smtp_security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if config.smtp_user:
                    server.login(config.smtp_user, self._password)
                refused = server.send_message(message.mail(config.mail_from, config.mail_to))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotDelivered(f"{config.smtp_host}: {_reason(error)}") from None
        return f"{config.smtp_host} refuses {', '.join(sorted(refused))}" if refused else ""

    def _connected(self) -> smtplib.SMTP:
        config = self._config
        if config.smtp_security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(config.smtp_host, config.smtp_port, timeout=TIMEOUT_S, context=context)
        return smtplib.SMTP(config.smtp_host, config.smtp_port, timeout=TIMEOUT_S)


def _reason(error: object) -> str:
    """Why, in a few words. Of an answer of an SMTP server its code and text."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"[:200]
    return (str(error) or type(error).__name__)[:200]


def open_channels(config: AlertsConfig) -> list[AlertChannel]:
    """The channels that a configuration names, with the secrets of files and environment. Raises ConfigError."""
    found: list[AlertChannel] = []
    url = os.environ.get(WEBHOOK_ENV) or _secret(config.webhook_url_file, "alerts.webhook_url_file")
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("alerts.webhook_url_file: the webhook must be a URL with http or https")
        found.append(WebhookChannel(url))
    if config.smtp_host:
        password = os.environ.get(PASSWORD_ENV) or _secret(config.smtp_password_file, "alerts.smtp_password_file")
        if config.smtp_user and not password:
            raise ConfigError(f"alerts.smtp_user: its password is missing: alerts.smtp_password_file or {PASSWORD_ENV}")
        found.append(MailChannel(config, password))
    return found


def _secret(path: str, setting: str) -> str:
    """The first line of a file; "" where none is named. Raises ConfigError."""
    if not path:
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: {path}: cannot be read: {getattr(error, 'strerror', '') or 'not UTF-8 text'}") from None
    if not text:
        raise ConfigError(f"{setting}: {path}: is empty")
    return text.splitlines()[0].strip()
