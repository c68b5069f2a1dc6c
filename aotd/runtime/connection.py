"""The way to a server, as the environment says: its proxy, the certificates that are trusted, and the key.

All of aotd's requests go through `open_client`. Whatever the environment says that cannot be is one line that names the
variable. `httpx` reads the same variables, and ends in a traceback at what it does not know: `NO_PROXY=::1/128`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import unicodedata
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from aotd.errors import UserError

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name trusted certificates; the first that is set counts."""
_SCHEMES = ("http", "https", "socks5", "socks5h")


# ── address ───────────────────────────────────────────────────────────────────────────────────────


def server_url(text: str, setting: str) -> str:
    """The address of a server that a setting names, without what people copy along with it.

    Raises:
        UserError: it is none.
    """
    plain = text.strip().rstrip("/")
    plain = re.sub(r"/chat/completions/?(?=$|\?)", "", plain)
    try:
        parsed = httpx.URL(plain)
        host, port = parsed.host, parsed.port
    except (httpx.InvalidURL, ValueError):
        host, port = "", None
    # A label that is empty or too long ends the resolver in a traceback.
    named = (
        host and port != 0 and (port or 0) < 2**16 and all(0 < len(label) < 64 for label in host.rstrip(".").split("."))
    )
    if not named or not plain.casefold().startswith(("http://", "https://")):
        raise UserError(f"{setting}: {masked(text)!r} is not the address of a server; e.g. http://127.0.0.1:8000/v1")
    return plain


def joined(url: str, path: str) -> str:
    """An address and a path behind it; a query stays at the end (`?api-version=…`)."""
    base, mark, query = url.partition("?")
    return f"{base.rstrip('/')}/{path}{mark}{query}"


def masked(url: str) -> str:
    """An address without the name and the password that may stand in it."""
    return re.sub(r"(?<=://)[^/@\s]*@", "…@", url)


def is_local(host: str) -> bool:
    """Whether a host is this machine, to which no proxy leads."""
    host = host.strip("[]").rstrip(".").casefold()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


# ── proxy ─────────────────────────────────────────────────────────────────────────────────────────


def proxy_of(url: str) -> tuple[str, str] | None:
    """The variable that names the proxy to a server, and the proxy's address; None where none is between.

    Raises:
        UserError: the variable holds no address of a proxy.
    """
    parsed = httpx.URL(url)
    if is_local(parsed.host) or _is_exempt(parsed.host, parsed.port or {"https": 443}.get(parsed.scheme, 80)):
        return None
    for variable in (f"{parsed.scheme}_proxy", "all_proxy"):
        for name in (variable, variable.upper()):
            if value := os.environ.get(name, "").strip():
                return name, _proxy_address(name, value)
    return None


def _proxy_address(variable: str, value: str) -> str:
    address = value if "://" in value else f"http://{value}"
    try:
        parsed = urlsplit(address)
        scheme, host, port = parsed.scheme.casefold(), parsed.hostname, parsed.port
        httpx.URL(address)
    except (ValueError, httpx.InvalidURL):
        scheme, host, port = "", None, None
    if scheme in ("socks", "socks4", "socks4a"):
        raise UserError(f"{variable}={masked(value)!r}: write socks5:// for a SOCKS proxy, or name an HTTP proxy")
    if scheme not in _SCHEMES or not host or port == 0 or re.search(r"[\s\"'“”‘’]", value):
        raise UserError(
            f"{variable}={masked(value)!r} is not the address of a proxy; e.g. http://proxy.example.org:3128; "
            f"mend or unset {variable}, or put the server's host into NO_PROXY"
        )
    return re.sub(r"^[^:]+", scheme, address)


def _is_exempt(host: str, port: int) -> bool:
    """Whether `NO_PROXY` names a host: its name or a domain above it, its address, or a network (CIDR) around it."""
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    host = host.strip("[]").rstrip(".").casefold()
    return any(_names_host(entry, host, port) for entry in re.split(r"[\s,;]+", listed) if entry)


def _names_host(entry: str, host: str, port: int) -> bool:
    entry = re.sub(r"^[a-z][a-z0-9+.-]*://", "", entry.strip("\"'").casefold())
    if entry == "*":
        return True
    if found := re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d+)", entry):
        if int(found[2]) != port:
            return False
        entry = found[1]
    if (network := _network(entry)) is not None:
        address = _network(host)
        return address is not None and address.version == network.version and address.subnet_of(network)  # type: ignore[arg-type]
    name = entry.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """`::1`, `[::1]`, `::1/128`, `[fe80::]/10`, `10.0.0.0/8` as a network; None for a name."""
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", "").split("%")[0], strict=False)
    except ValueError:
        return None


# ── certificates ──────────────────────────────────────────────────────────────────────────────────


@cache
def _trusted(named: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    variable, value = next(((name, value) for name, value in named if value), ("", ""))
    if not variable:
        return httpx.create_ssl_context(trust_env=False)
    path, mend = Path(value).expanduser(), f"name a file of certificates (PEM) with it, or unset {variable}"
    try:
        if path.is_dir() and variable != "SSL_CERT_FILE":
            if not any(re.fullmatch(r"[0-9a-f]{8}\.\d+", one.name) for one in path.iterdir()):
                raise UserError(
                    f"{variable}={value}: that folder holds no certificates by their hash (`openssl rehash` makes "
                    f"them): {mend.replace(' with it', ' with SSL_CERT_FILE')}"
                )
            return ssl.create_default_context(capath=str(path))
        if not path.is_file():
            raise UserError(f"{variable}={value} is not there: {mend}")
        return ssl.create_default_context(cafile=str(path))
    except ssl.SSLError as error:
        why = (error.reason or "").replace("_", " ").casefold() or "not PEM"
        raise UserError(f"{variable}={value} holds no certificates ({why}): {mend}") from None
    except OSError as error:
        raise UserError(f"{variable}={value} cannot be read ({error.strerror}): {mend}") from None


def trusted() -> ssl.SSLContext:
    """The certificates that are trusted.

    Raises:
        UserError: a variable names what is not there or holds none.
    """
    return _trusted(tuple((name, os.environ.get(name, "").strip()) for name in CERTIFICATES))


def certificate_problem(error: BaseException) -> str:
    """Why a server's certificate is not taken, and how to mend that; empty for any other error."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    text = f"{seen or ''} {error}"
    if "CERTIFICATE_VERIFY_FAILED" not in text:
        if "WRONG_VERSION_NUMBER" in text or "UNEXPECTED_EOF" in text or "record layer failure" in text:
            return "does not speak TLS: write http:// in place of https://, if that is what it speaks"
        return ""
    why = getattr(seen, "verify_message", "") or "it cannot be verified"
    if "expired" in why or "not yet valid" in why:
        mend = "renew it at the server, or set this machine's clock"
    elif "ostname mismatch" in why or "IP address mismatch" in why:
        mend = "use the name in the address that the certificate is for"
    else:
        mend = "put the certificate of the server, or of who signed it, into a PEM file and set SSL_CERT_FILE to it"
    variable = next((name for name in CERTIFICATES if os.environ.get(name, "").strip()), "")
    where = f", beside those of {variable}={os.environ[variable].strip()}" if variable else ""
    return f"has a certificate that is not trusted ({why}){where}: {mend}"


# ── key ───────────────────────────────────────────────────────────────────────────────────────────


def key_of(variable: str) -> str:
    """The key in an environment variable; empty where there is none. Blanks and line ends around it are no part of it.

    Raises:
        UserError: it holds what no key holds. The key itself is told to nobody.
    """
    key = os.environ.get(variable, "").strip(_AROUND)
    if word := re.match(r"(?i)(?:authorization|bearer|api-key)(?=[\s:])", key):
        raise UserError(
            f"the environment variable {variable} holds `{word[0]}` before the key: set {variable} to the key alone"
        )
    for at, character in enumerate(key, start=1):
        if not "!" <= character <= "~" or character in "\"'`":
            name = unicodedata.name(character, f"U+{ord(character):04X}").casefold()
            raise UserError(
                f"the key in the environment variable {variable} holds what no key holds ({name}, character {at} of "
                f"{len(key)}): set {variable} anew, without quotes, blanks and line ends in it"
            )
    return key


_AROUND = " \t\r\n\f\v\0\u00a0\u200b\u2060\ufeff"
"""What a key that was copied or read from a file has around it, and cannot be seen."""


def key_headers(url: str, key: str) -> dict[str, str]:
    """The headers that tell a server the key; empty for none."""
    if not key:
        return {}
    headers = {"Authorization": f"Bearer {key}"}
    host = httpx.URL(url).host
    return headers | {"api-key": key} if host.endswith(".azure.com") else headers


# ── client ────────────────────────────────────────────────────────────────────────────────────────


def open_client(
    url: str, *, timeout: httpx.Timeout | float | None, connections: int | None = None, inside: bool = False
) -> httpx.Client:
    """A client for one server.

    Args:
        url: the server's address; only its host decides.
        connections: how many at a time; None for any number.
        inside: the server is of the same cluster, where no proxy leads.

    Raises:
        UserError: a variable of the environment names a proxy or certificates that cannot be.
    """
    proxy = None if inside else proxy_of(url)
    needs_tls = url.casefold().startswith("https:") or (proxy is not None and proxy[1].startswith("https:"))
    verify = trusted() if needs_tls else _bundled()
    try:
        return httpx.Client(
            timeout=timeout,
            limits=httpx.Limits(max_connections=connections),
            trust_env=False,
            verify=verify,
            proxy=proxy[1] if proxy else None,
        )
    except ImportError:
        assert proxy is not None
        raise UserError(
            f"{proxy[0]}={masked(proxy[1])} is a SOCKS proxy, which needs `pip install 'httpx[socks]'`: install that, "
            f"name an HTTP proxy, or put {httpx.URL(url).host} into NO_PROXY"
        ) from None


@cache
def _bundled() -> ssl.SSLContext:
    """For servers without TLS, whatever the environment names."""
    return httpx.create_ssl_context(trust_env=False)
