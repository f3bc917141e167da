"""Traffic selectors as swanctl.conf writes them."""

from __future__ import annotations

import pytest

from perilune.config.traffic_selectors import SELECTORS, read_selector
from perilune.databases.pad import DynamicSelector
from perilune.model.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.2.3/16", "10.1.0.0/16"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("10.0.0.1-10.0.0.5", "10.0.0.1-10.0.0.5"),
        ("10.0.0.0 - 10.0.0.255", "10.0.0.0/24"),
        ("10.1.0.0/16[tcp]", "10.1.0.0/16[tcp/any]"),
        ("10.1.0.0/16[tcp/80]", "10.1.0.0/16[tcp/80]"),
        ("10.1.0.0/16[tcp/http]", "10.1.0.0/16[tcp/80]"),
        ("10.1.0.0/16[ TCP / ssh ]", "10.1.0.0/16[tcp/22]"),
        ("10.1.0.0/16[17/5000-6000]", "10.1.0.0/16[udp/5000-6000]"),
        ("10.1.0.0/16[udp/ntp-https]", "10.1.0.0/16[udp/123-443]"),
        ("10.1.0.0/16[udp/snmp-trap]", "10.1.0.0/16[udp/162]"),
        ("10.1.0.0/16[0x11/0x1388]", "10.1.0.0/16[udp/5000]"),
        ("10.1.0.0/16[any]", "10.1.0.0/16"),
        ("10.1.0.0/16[]", "10.1.0.0/16"),
        ("10.1.0.0/16[/any]", "10.1.0.0/16"),
        ("10.1.0.0/16[sctp/opaque]", "10.1.0.0/16[sctp/opaque]"),
        ("10.1.0.0/16[icmp/2048]", "10.1.0.0/16[icmp/2048]"),
        ("10.1.0.0/16[icmp/8(0)]", "10.1.0.0/16[icmp/2048]"),
        ("::/0[icmpv6/135(0)-136(255)]", "::/0[ipv6-icmp/34560-35071]"),
        ("10.1.0.0/16[253]", "10.1.0.0/16[253/any]"),
    ],
)
def test_selector(text: str, meant: str) -> None:
    assert str(read_selector(text)) == meant


def test_dynamic() -> None:
    assert read_selector("dynamic") == DynamicSelector()
    assert read_selector("dynamic[udp/53]") == DynamicSelector(17, 53, 53)


def test_list() -> None:
    assert [str(one) for one in SELECTORS.read("10.1.0.0/16, ::/0[tcp],")] == ["10.1.0.0/16", "::/0[tcp/any]"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no IP address"),
        ("10.1.0.0/33", "no subnet"),
        ("10.1.0.0/-1", "no subnet"),
        ("10.1.0.0/", "no subnet"),
        ("10.1.0.5-10.1.0.1", "lies behind"),
        ("10.1.0.1-::1", "different families"),
        ("example.org", "no IP address"),
        ("fe80::1%eth0", "zone"),
        ("dynamics", "no IP address"),
        ("10.1.0.0/16[tcp", "needs a ']'"),
        ("10.1.0.0/16[tcp]x", "needs a ']'"),
        ("10.1.0.0/16[tpc/80]", r"no protocol.*did you mean 'tcp'"),
        ("10.1.0.0/16[256]", "not from 0 to 255"),
        ("10.1.0.0/16[tcp/65536]", "no port"),
        ("10.1.0.0/16[tcp/httpp]", r"no port.*did you mean 'http'"),
        ("10.1.0.0/16[tcp/90-80]", "lies behind"),
        ("10.1.0.0/16[tcp/80-]", "no port"),
        ("10.1.0.0/16[tcp/-]", "no port"),
        ("10.1.0.0/16[tcp/8(0)]", "no port"),
        ("10.1.0.0/16[icmp/256(0)]", "no port"),
        ("10.1.0.0/16[/80]", "need a protocol"),
        ("10.1.0.0/16[any/opaque]", "need a protocol"),
    ],
)
def test_no_selector(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_selector(text)
