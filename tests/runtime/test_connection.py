"""The way to servers, in the environments that people have."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest

from aotd.errors import UserError
from aotd.runtime.connection import (
    CERTIFICATES,
    certificate_problem,
    is_local,
    joined,
    key_headers,
    key_of,
    masked,
    open_client,
    proxy_of,
    server_url,
    trusted,
)

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *(name.lower() for name in PROXIES), *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        (" http://h/v1 ", "http://h/v1"),
        ("http://h/v1/chat/completions", "http://h/v1"),
        (
            "https://h/openai/deployments/d/chat/completions?api-version=1",
            "https://h/openai/deployments/d?api-version=1",
        ),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("HTTP://h/v1", "HTTP://h/v1"),
        ("http://bücher.example/v1", "http://bücher.example/v1"),
    ],
)
def test_address_of_a_server(typed: str, url: str) -> None:
    assert server_url(typed, "llm.url") == url


@pytest.mark.parametrize(
    "typed",
    ["", "localhost:8000", "ftp://h", "http://", "http://h:0/v1", "http://h:80a", "http://a..b/v1", "http://[::1/v1",
     "http://" + "a" * 64 + ".org/v1", "http://h:99999/v1", "http://h\x00/v1"],
)  # fmt: skip
def test_what_is_no_address_is_one_line(typed: str) -> None:
    with pytest.raises(UserError, match=r"^llm\.url: .* is not the address of a server") as caught:
        server_url(typed, "llm.url")
    assert "\n" not in str(caught.value)


def test_password_in_an_address_is_told_to_nobody() -> None:
    assert masked("http://me:sesame@h/v1") == "http://…@h/v1"
    with pytest.raises(UserError) as caught:
        server_url("http://me:sesame@", "llm.url")
    assert "sesame" not in str(caught.value)


def test_path_stands_before_a_query() -> None:
    assert joined("http://h/d?api-version=1", "chat/completions") == "http://h/d/chat/completions?api-version=1"
    assert joined("http://h/v1", "models") == "http://h/v1/models"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::ffff:127.0.0.1", "::"])
def test_this_machine_by_other_addresses(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["localhost.example.org", "128.0.0.1", "fe80::1", "example.org", "10.0.0.1"])
def test_other_machines(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("variable", "value", "url", "proxy"),
    [
        ("HTTP_PROXY", "http://p:3128", "http://h/v1", "http://p:3128"),
        ("http_proxy", "p:3128", "http://h/v1", "http://p:3128"),
        ("HTTPS_PROXY", " http://p:3128/ ", "https://h/v1", "http://p:3128/"),
        ("HTTP_PROXY", "http://p:3128", "https://h/v1", None),
        ("ALL_PROXY", "http://p:3128", "https://h/v1", "http://p:3128"),
        ("ALL_PROXY", "http://p:3128", "http://localhost:8000/v1", None),
        ("all_proxy", "HTTP://me:word@p:3128", "http://h/v1", "http://me:word@p:3128"),
        ("ALL_PROXY", "http://p:3128", "http://[::1]:8000/v1", None),
        ("ALL_PROXY", "socks5h://p:1080", "http://h/v1", "socks5h://p:1080"),
        ("ALL_PROXY", "", "http://h/v1", None),
        ("HTTPS_PROXY", "http://[fd00::1]:3128", "https://h/v1", "http://[fd00::1]:3128"),
    ],
)
def test_proxy_of_a_server(
    variable: str, value: str, url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert proxy_of(url) == (None if proxy is None else (variable, proxy))


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("*", "http://h.example.org/v1"),
        ("example.org", "http://example.org/v1"),
        ("example.org", "http://h.example.org/v1"),
        (".example.org", "http://h.example.org/v1"),
        ("*.example.org", "http://h.example.org/v1"),
        ("EXAMPLE.org.", "http://h.example.ORG/v1"),
        ("a.org, example.org ;b.org", "http://example.org/v1"),
        ("a.org  example.org", "http://example.org/v1"),
        ("example.org:8000", "http://example.org:8000/v1"),
        ("http://example.org", "http://example.org/v1"),
        ("10.0.0.0/8", "http://10.1.2.3/v1"),
        ("10.1.2.3", "http://10.1.2.3/v1"),
        ("10.1.2.3:80", "http://10.1.2.3/v1"),
        ("fd00::/8", "http://[fd00::5]/v1"),
        ("[fd00::5]", "http://[fd00::5]/v1"),
        ("[fd00::5]:80", "http://[fd00::5]/v1"),
        ("FD00:0:0::5", "http://[fd00::5]:9/v1"),
        ('"example.org"', "http://example.org/v1"),
    ],
)
def test_hosts_without_a_proxy(listed: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://p:3128")
    monkeypatch.setenv("NO_PROXY", f"localhost,127.0.0.1,::1/128,fe80::/10,{listed}")
    assert proxy_of(url) is None
    open_client(url, timeout=1).close()


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("::1/128,fe80::/10", "http://192.0.2.1/v1"),
        ("example.org", "http://notexample.org/v1"),
        ("example.org:8000", "http://example.org/v1"),
        ("10.0.0.0/8", "http://11.0.0.1/v1"),
        ("10.0.0.0/99,[,:::,/8, ,", "http://10.0.0.1/v1"),
        ("0.0.0.0/0", "http://[fd00::5]/v1"),
        ("10.0.0.0/8", "http://h/v1"),
    ],
)
def test_hosts_behind_a_proxy(listed: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://p:3128")
    monkeypatch.setenv("no_proxy", listed)
    assert proxy_of(url) == ("HTTP_PROXY", "http://p:3128")
    open_client(url, timeout=1).close()


@pytest.mark.parametrize(
    "value",
    ["http://", "http://p:80a", "ftp://p:21", '"http://p:3128"', "http://p q:3128", "http://[::1", "p:0", "://p",
     "http://me:sesame@p:99999", "“http://p:3128”", "socks://p:1080", "socks4://p:1080"],
)  # fmt: skip
def test_what_is_no_proxy_is_one_line_that_names_the_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(UserError, match=r"^ALL_PROXY=") as caught:
        open_client("https://h/v1", timeout=1)
    assert "\n" not in str(caught.value)
    assert "sesame" not in str(caught.value)
    open_client("http://127.0.0.1:8000/v1", timeout=1).close()


def test_socks_proxy_without_its_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://p:1080")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(UserError, match=r"^ALL_PROXY=socks5://p:1080 is a SOCKS proxy, which needs `pip install"):
        open_client("https://h/v1", timeout=1)


# ── certificates ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("what", ["missing", "text", "empty", "folder", "key"])
def test_certificates_that_are_none_name_their_variable(
    variable: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca"
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
        path.write_text({"text": "no certificate", "empty": "", "key": key}[what])
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(UserError, match=f"^{variable}={path}") as caught:
        open_client("https://h/v1", timeout=1)
    assert "\n" not in str(caught.value)
    open_client("http://h/v1", timeout=1).close()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificates_that_a_variable_names_are_trusted(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import certifi

    monkeypatch.setenv(variable, certifi.where())
    assert trusted().verify_mode is ssl.CERT_REQUIRED
    open_client("https://h/v1", timeout=1).close()


@pytest.mark.parametrize(
    ("why", "mend"),
    [
        ("self-signed certificate", "set SSL_CERT_FILE"),
        ("unable to get local issuer certificate", "set SSL_CERT_FILE"),
        ("certificate has expired", "clock"),
        ("certificate is not yet valid", "clock"),
        ("Hostname mismatch, certificate is not valid for 'h'.", "the name in the address"),
        ("IP address mismatch, certificate is not valid for '127.0.0.1'.", "the name in the address"),
    ],
)
def test_certificate_that_is_not_trusted(why: str, mend: str) -> None:
    inner = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {why}")
    inner.verify_message = why
    error = OSError("all attempts failed")
    error.__cause__ = inner
    problem = certificate_problem(error)
    assert "certificate" in problem
    assert why in problem
    assert mend in problem


def test_other_troubles_are_none_of_the_certificate() -> None:
    assert certificate_problem(OSError("Connection refused")) == ""
    assert "http://" in certificate_problem(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"))


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("around", ["{}", " {}", "{}\n", "{}\r\n", "\t{} ", "\ufeff{}", "{}\u00a0", "\u200b{}"])
def test_blanks_around_a_key_are_no_part_of_it(around: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", around.format("sk-abc_DEF.123~+/="))
    assert key_of("MY_KEY") == "sk-abc_DEF.123~+/="


@pytest.mark.parametrize("empty", [None, "", "  ", "\n"])
def test_empty_key_is_none(empty: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if empty is not None:
        monkeypatch.setenv("MY_KEY", empty)
    assert key_of("MY_KEY") == ""
    assert key_headers("http://h/v1", "") == {}


@pytest.mark.parametrize(
    "key",
    ["“sk-abc”", '"sk-abc"', "'sk-abc'", "sk-abc\nsk-def", "sk abc", "sk-äbc", "sk-abc\x7f", "sk-\u200babc", "sk–abc",
     "Bearer sk-abc", "bearer\tsk-abc", "Authorization: Bearer sk-abc", "api-key: sk-abc", "`sk-abc`", "sk-ключ"],
)  # fmt: skip
def test_key_with_stray_characters_is_one_line_that_names_the_variable(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(UserError, match="the environment variable MY_KEY") as caught:
        key_of("MY_KEY")
    said = str(caught.value)
    assert said.isascii()
    assert said.isprintable()
    assert "abc" not in said


def test_azure_is_told_the_key_in_its_own_header() -> None:
    assert key_headers("https://name.openai.azure.com/openai/v1", "k") == {"Authorization": "Bearer k", "api-key": "k"}
    assert key_headers("https://azure.com.example.org/v1", "k") == {"Authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTPS_PROXY", "http://p:80a"), ("ALL_PROXY", "socks5://p:1"), ("SSL_CERT_FILE", "/nowhere/ca.pem")],
)
def test_way_to_the_hub_that_cannot_be_is_one_line(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from aotd.models.checkpoints import check_hub

    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UserError, match=f"^{variable}="):
        check_hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    check_hub()
