"""Addresses of databases, from the environment and never shown, and packages that an extra brings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from ragprof.core.errors import BadInput, MissingPackage
from ragprof.core.plain import line, without_secrets

SHOWN_CHARACTERS = 300
PASSWORD = re.compile(r"(?<=://)[^/@\s]*@|\b(password|passwd|pwd|token|api_?key)\s*=\s*('[^']*'|\S+)", re.IGNORECASE)
"""In an address: what stands before the host, and what is said to be secret."""


def need(store: str, *packages: str) -> None:
    """Raises MissingPackage, with the line that installs them, for the first that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackage(f"the store '{store}' needs the package {package}: pip install 'ragprof[{store}]'")


def address(variable: str, *, store: str) -> str:
    """What the environment variable holds. Raises BadInput where it is not set, or is no variable's name."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
        raise BadInput(
            f"the store '{store}': url_env must be the name of an environment variable, such as DATABASE_URL, and "
            "never the address itself, which may hold a password"
        )
    found = os.environ.get(variable, "").strip()
    if not found:
        raise BadInput(f"the store '{store}' reads its address from ${variable}, which is not set; set it")
    return found


def is_elsewhere(variable: str) -> bool:
    """Whether the environment variable holds the address of another machine; not where it is not set, or no address."""
    held = os.environ.get(variable, "").strip()
    named = re.search(r"(?i)\bhost(?:addr)?\s*=\s*'?([^'\s&]+)", held)
    try:
        host = named[1] if named else urlsplit(held if "://" in held else f"//{held}").hostname or ""
    except ValueError:
        return bool(held)
    if not host or host.startswith("/") or host.lower() == "localhost":  # a socket's folder is this machine's
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def secrets_in(url: str) -> list[str]:
    """Passwords of an address, as they stand there and as a server is told them, longest first."""
    found = [
        each[1] or each[2] or each[3] for each in re.finditer(r"(?i)password\s*=\s*(?:'([^']*)'|([^\s&]+))()", url)
    ]
    try:
        password = urlsplit(url).password
    except ValueError:
        password = None
    found += [password] if password else []
    return sorted({kept for each in found for kept in (each, unquote(each)) if kept}, key=len, reverse=True)


def shown(text: object, secrets: Sequence[str] = ()) -> str:
    """What a server or its client said, on one line, short, without anything that is a secret."""
    said = str(text)
    for secret in secrets:
        said = said.replace(secret, "***")
    said = line(without_secrets(PASSWORD.sub("***", said)))
    return said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]}..."


def unreachable(store: str, said: str, variable: str) -> BadInput:
    """For a server that gives no answer, by what its client said: nobody listens, or there is no TLS, or it is slow."""
    if re.search(r"\b(SSL|TLS)\b|certificate|handshake", said, re.IGNORECASE):
        remedy = (
            f"the TLS of ${variable} fails: write http:// where the server has none, and name the file of the "
            "authority that signed its certificate in $SSL_CERT_FILE where it has"
        )
    elif re.search(r"timed? ?out|deadline", said, re.IGNORECASE):
        remedy = f"it is slow, or a firewall swallows what is sent: see that it is well, or mend ${variable}"
    else:
        remedy = f"start it, or mend ${variable}"
        if os.environ.get(variable, "").startswith("https"):
            remedy += ", which says https: write http:// where the server has no TLS"
    return BadInput(f"the store '{store}': the server does not answer ({said}); {remedy}")
