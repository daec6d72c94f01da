"""A certificate of this machine, made by openssl, for the tests of TLS."""

import subprocess
from pathlib import Path


def make_certificate(certificate: str | Path, key: str | Path, *protection: str) -> None:
    """A self-signed certificate and its key. `protection`: openssl's words for the key's passphrase; without them it has none."""
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    words = ("req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=localhost", "-addext", names)
    ends = protection or ("-nodes",)
    subprocess.run(["openssl", *words, "-out", certificate, "-keyout", key, *ends], check=True, capture_output=True)
