"""Webhooks go to servers outside: every way to name an inner address is refused, before and after a name is looked up."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from django.conf import LazySettings

from webhooks import addresses
from webhooks.addresses import Refused


@pytest.fixture(autouse=True)
def production(settings: LazySettings) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = False


def resolver(monkeypatch: pytest.MonkeyPatch, *numbers: str) -> list[str]:
    """Let every name lead to these addresses; return the names that are looked up."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, flags: int = 0, **kwargs: Any) -> list[Any]:
        if flags & socket.AI_NUMERICHOST:
            return real(host, port, *args, flags=flags, **kwargs)
        asked.append(host)
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(families[":" in n], socket.SOCK_STREAM, 6, "", (n, port, 0, 0) if ":" in n else (n, port)) for n in numbers]

    monkeypatch.setattr("webhooks.addresses.socket.getaddrinfo", look_up)
    return asked


INSIDE = [
    ("127.0.0.1", "loopback"), ("127.8.9.1", "loopback"), ("::1", "loopback"), ("0.0.0.0", "unspecified"), ("::", "unspecified"),
    ("10.1.2.3", "private"), ("172.16.0.1", "private"), ("192.168.1.1", "private"), ("fd00::1", "private"), ("fc00::1", "private"),
    ("169.254.169.254", "link-local"), ("fe80::1", "link-local"), ("fe80::1%eth0", "link-local"), ("fd00:ec2::254", "private"),
    ("224.0.0.1", "multicast"), ("ff02::1", "multicast"), ("240.0.0.1", "reserved"), ("255.255.255.255", "reserved"),
    ("100.64.0.1", "special"), ("100.100.100.200", "special"), ("192.0.0.192", "special"), ("198.18.0.1", "private"),
    ("168.63.129.16", "special"), ("::ffff:127.0.0.1", "IPv4-in-IPv6"), ("::ffff:93.184.216.34", "IPv4-in-IPv6"),
    ("2002:7f00:1::", "IPv4-in-IPv6"), ("64:ff9b::7f00:1", "IPv4-in-IPv6"), ("2001:0:7f00:1::", "IPv4-in-IPv6"), ("::7f00:1", "reserved"),
    ("fec0::1", "special"), ("64:ff9b:1::1", "reserved"), ("100:0:0:1::1", "reserved"),
]  # fmt: skip
OUTSIDE = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"]


@pytest.mark.parametrize(("number", "kind"), INSIDE)
def test_inner_and_special_addresses_are_known_for_what_they_are(number: str, kind: str) -> None:
    assert addresses.why_inside(number) == kind


@pytest.mark.parametrize("number", OUTSIDE)
def test_addresses_of_the_internet_pass(number: str) -> None:
    assert addresses.why_inside(number) == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://[::1]/",
        "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest/meta-data", "https://localhost/", "https://a.localhost:8443/",
        "https://LOCALHOST./",
    ],
)  # fmt: skip
def test_numbers_that_lead_inside_are_refused_without_looking_anything_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolver(monkeypatch, "93.184.216.34")
    with pytest.raises(Refused, match="webhooks go to servers"):
        addresses.parse(url)
    assert asked == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.org/", "https"), ("ftp://hooks.example.org/", "https"), ("hooks.example.org/x", "https"), ("", "https"),
        ("file:///etc/passwd", "https"), ("https:///x", "https"), ("https://user:word@hooks.example.org/", "passwords"),
        ("https://hooks.example.org@10.0.0.1/", "passwords"), ("https://hooks.example.org/#part", "fragments"),
        ("https://hooks.example.org:0/", "port 0"), ("https://hooks.example.org:99999/", "no address"), ("https://[::1", "no address"),
        ("https://hooks.example.org/a b", "spaces"), ("https://hooks.example.org/\r\nHost: x", "spaces"), ("https://ex\u00e4mple.org/", "ASCII"),
        ("https://hooks.example.org\\@10.0.0.1/", "ASCII"), ("https://hooks.example.org/" + "x" * 2000, "2000"), ("https://-/", "no name"),
        ("https://a%00b/", "no name"),
    ],
)  # fmt: skip
def test_what_is_no_fit_address_is_refused_and_says_what_to_give(url: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        addresses.parse(url)


def test_an_address_is_taken_in_its_parts() -> None:
    target = addresses.parse("https://Hooks.Example.org:8443/a/b?c=d%20e")
    assert (target.tls, target.host, target.port, target.path) == (True, "hooks.example.org", 8443, "/a/b?c=d%20e")
    assert addresses.parse("https://hooks.example.org").path == "/"
    assert addresses.parse("https://hooks.example.org?x=1") == addresses.Target(True, "hooks.example.org", 443, "/?x=1")
    assert addresses.parse("https://[2606:2800:220:1:248:1893:25c8:1946]/").host == "2606:2800:220:1:248:1893:25c8:1946"


@pytest.mark.parametrize("number", ["127.0.0.1", "10.0.0.7", "::1", "169.254.169.254", "::ffff:127.0.0.1"])
def test_a_name_that_leads_inside_is_refused_and_the_number_is_not_told(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver(monkeypatch, number)
    with pytest.raises(Refused, match=r"hooks\.example\.org leads to") as refused:
        addresses.resolve(addresses.parse("https://hooks.example.org/"), seconds=5)
    assert number not in str(refused.value)


def test_one_inner_address_among_others_refuses_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    target = addresses.parse("https://hooks.example.org/")
    resolver(monkeypatch, *OUTSIDE)
    assert [s.address[0] for s in addresses.resolve(target, seconds=5)] == OUTSIDE
    resolver(monkeypatch, *OUTSIDE, "10.0.0.1")
    with pytest.raises(Refused, match="private"):
        addresses.resolve(target, seconds=5)


def test_an_operator_can_allow_what_lies_inside(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> None:
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    resolver(monkeypatch, "10.0.0.7")
    target = addresses.parse("http://ci.internal:8080/hook")
    assert [s.address for s in addresses.resolve(target, seconds=5)] == [("10.0.0.7", 8080)]
    assert addresses.parse("http://localhost/").host == "localhost"


def test_looking_a_name_up_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.addresses.socket.getaddrinfo", lambda *_, **__: time.sleep(5) or [])
    target = addresses.Target(True, "slow.example.org", 443, "/")
    began = time.monotonic()
    with pytest.raises(OSError, match=r"slow\.example\.org was not found within 0 s"):
        addresses.resolve(target, seconds=0.1)
    assert time.monotonic() - began < 2


def test_a_name_that_leads_nowhere_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("webhooks.addresses.socket.getaddrinfo", nowhere)
    with pytest.raises(OSError, match=r"gone\.example\.org was not found"):
        addresses.resolve(addresses.Target(True, "gone.example.org", 443, "/"), seconds=5)
