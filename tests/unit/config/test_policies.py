"""The section `policies`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pwd import getpwall

import pytest

from perilune.config.load import load_text
from perilune.config.problems import InvalidConfigError
from perilune.databases.conditions import NOT_POPULATED, UNCONDITIONAL, Conditions, Masked, Populate
from perilune.databases.spd import Action, IcmpErrors, SpdTemplate, Way
from perilune.model.selector import TrafficSelector, everything

GATEWAY = """
connections { gw {
    local { auth = psk }
    remote { auth = psk }
    children {
        net { local_ts = 10.1.0.0/16, fd01::/16
              remote_ts = 10.2.0.0/16, fd02::/16 }
        open { mode = pass
               local_ts = 10.1.0.0/16
               remote_ts = 10.3.0.0/16 }
    }
} }
secrets { ike { secret = correct-horse } }
"""


def policies(text: str) -> tuple[SpdTemplate, ...]:
    return load_text(f"{GATEWAY}\npolicies {{ {text}\n}}").policies


def policy(text: str) -> SpdTemplate:
    (found,) = policies(f"one {{ {text}\n}}")
    return found


def mistake(text: str) -> str:
    with pytest.raises(InvalidConfigError) as caught:
        policy(text)
    (error,) = caught.value.errors
    return str(error)


def net(text: str, protocol: int = 0, first: int = 0, last: int = 65535) -> TrafficSelector:
    return TrafficSelector.of_network(ip_network(text), protocol, first, last)


def test_defaults() -> None:
    assert policy("action = discard") == SpdTemplate(
        name="one",
        order=10,
        action=Action.DISCARD,
        way=Way.BOTH,
        local=(everything(4), everything(6)),
        remote=(everything(4), everything(6)),
        conditions=UNCONDITIONAL,
        populate=NOT_POPULATED,
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("user = nobody-of-this-name", "no user 'nobody-of-this-name' on this host"),
        ("user = root", "root's packets cannot be told"),
        ("user = 0", "root's packets cannot be told"),
        ("user = 65534", "nobody's number"),
        ("user = 4294967295", "nobody's number"),
        ("user = -1", "no user '-1'"),
        ("user = 1000\ndirection = in", "what arrives is of no user"),
    ],
)
def test_who_cannot_be_a_user(text: str, why: str) -> None:
    assert why in mistake(f"action = discard\n{text}")


def test_a_user_may_be_named() -> None:
    someone = next(one for one in getpwall() if one.pw_uid not in {0, 65534})
    assert policy(f"action = discard\nuser = {someone.pw_name}").conditions.user == someone.pw_uid


def test_users_are_those_of_a_host() -> None:
    text = "one { action = discard\nuser = 1000\n}\ntwo { action = bypass\nuser = 7\n}"
    assert load_text(f"{GATEWAY}\npolicies {{ {text} }}").users == {7, 1000}
    with pytest.raises(InvalidConfigError, match="over a wire"):
        load_text(
            f"{GATEWAY}\npolicies {{ {text} }}\ndaemon {{ placement = wire\ninside = lan\noutside = wan\n}}"
        )


def test_protection_with_everything() -> None:
    assert policy("""
        action = protect
        order = 7
        local = 10.1.0.0/24, 10.1.9.1-10.1.9.5
        remote = 10.2.0.7
        protocol = tcp, udp
        remote_ports = 80, 8000-8080
        tos = 0xb8/0xfc
        level = 1-3
        user = 1000
        child = gw/net
        pfp = remote, ports
    """) == SpdTemplate(
        name="one",
        order=7,
        action=Action.PROTECT,
        local=(
            net("10.1.0.0/24", 6),
            net("10.1.0.0/24", 17),
            TrafficSelector(ip_address("10.1.9.1"), ip_address("10.1.9.5"), 6),
            TrafficSelector(ip_address("10.1.9.1"), ip_address("10.1.9.5"), 17),
        ),
        remote=(
            net("10.2.0.7/32", 6, 80, 80),
            net("10.2.0.7/32", 6, 8000, 8080),
            net("10.2.0.7/32", 17, 80, 80),
            net("10.2.0.7/32", 17, 8000, 8080),
        ),
        conditions=Conditions(tos=Masked(0xB8, 0xFC), level=(1, 3), user=1000),
        populate=Populate(remote_address=True, local_port=True, remote_port=True),
        connection="gw",
        child="net",
    )


# covers R4301-4.4.1.1-6
# covers R4301-4.4.1.1-7
@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("protocol = icmp\nlocal_types = 8", [(0x800, 0x8FF)]),
        ("protocol = icmp\nlocal_types = 3(1), 3(4)-3(13)", [(0x301, 0x301), (0x304, 0x30D)]),
        ("protocol = icmpv6\nlocal_types = 128-129", [(0x8000, 0x81FF)]),
        ("protocol = icmp\nlocal_types = opaque", [(65535, 0)]),
        ("protocol = 135\nlocal_types = 5", [(0x500, 0x500)]),
        ("protocol = icmp", [(0, 65535)]),
    ],
)
def test_types_of_messages_are_ports(text: str, ports: list[tuple[int, int]]) -> None:
    found = policy(f"action = bypass\nlocal = 10.0.0.1\n{text}").local
    assert [(one.first_port, one.last_port) for one in found] == ports


def test_addresses_are_the_childs_where_the_entry_has_none() -> None:
    found = policy("action = protect\nchild = net\nremote = 10.2.7.0/24")
    assert (found.local, found.remote) == ((net("10.1.0.0/16"), net("fd01::/16")), (net("10.2.7.0/24"),))


def test_ipv6_has_a_traffic_class_and_a_flow_label() -> None:
    found = policy("action = bypass\ntraffic_class = 184\nflow_label = 0xabcde").conditions
    assert found == Conditions(traffic_class=Masked(184, 255), flow_label=0xABCDE)
    assert found.texts == ("traffic_class = 0xb8/0xff", f"flow_label = {0xABCDE}")


def test_a_mask_may_have_holes() -> None:
    found = policy("action = discard\nremote = 10.0.7.0&255.0.255.0")
    assert found.remote == (everything(4),)
    assert found.conditions.remote_address == Masked(0x0A000700, 0xFF00FF00)


# covers R4301-4.4.1-2
def test_entries_are_in_the_order_of_their_numbers() -> None:
    found = policies(
        "a { action = bypass }\nb { action = discard; order = 5 }\nc { action = bypass }".replace(";", "\n")
    )
    assert [(one.name, one.order) for one in found] == [("b", 5), ("a", 10), ("c", 15)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("order = 3", "'action' is missing"),
        ("action = protect", "'child' is missing"),
        ("action = protect\nchild = nett", "was 'gw/net' meant?"),
        ("action = protect\nchild = open", "no child 'open' that protects"),
        (
            "action = protect\nchild = net\nlocal = 10.9.0.1",
            "10.9.0.1/32 lies outside local_ts of child 'net'",
        ),
        ("action = bypass\nchild = net", "only 'action = protect' has a child"),
        ("action = bypass\npfp = remote", "only 'action = protect' makes SAs to populate"),
        ("action = bypass\nicmp_errors = checked", "only 'action = protect' has SAs"),
        ("action = protect\nchild = net\nicmp_errors = all", "icmp_errors"),
        ("action = bypass\nlocal_ports = 80", "ports need a protocol"),
        ("action = bypass\nprotocol = tcp\nlocal_types = 8", "types need 'protocol = icmp'"),
        ("action = bypass\nlocal_ports = any, 80\nprotocol = tcp", "stand alone"),
        ("action = bypass\ntos = 1\nflow_label = 2", "either the TOS of IPv4"),
        ("action = discard\ntos = 1\nremote = fd00::/8", "only IPv4 has this"),
        ("action = discard\ntraffic_class = 1\nremote = 10.0.0.0/8", "only IPv6 has this"),
        ("action = discard\nflow_label = 1\nlocal = 10.0.0.0/8", "only IPv6 has this"),
        ("action = bypass\ntos = 0xff/0xfc", "bits that the mask has not"),
        ("action = bypass\nlevel = 3-1", "greater than the last"),
        ("action = bypass\nlocal = 10.0.0.1\nremote = fd00::1", "no address family in common"),
        ("action = bypass\nlocal = 10.0.7.1&255.0.255.0", "bits that the mask has not"),
        ("action = bypass\nprotocol = any, tcp", "'any' stands alone"),
        ("action = bypass\nlocal = 10.0.0.1, 10.0.7.0&255.0.255.0", "stands alone"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    assert message in mistake(text)


def test_icmp_errors_are_carried_as_the_child_has_it_or_the_entry_itself() -> None:
    config = GATEWAY.replace("net {", "net { icmp_errors = checked\n")
    entries = (
        "a { action = protect\nchild = net }\nb { action = protect\nchild = net\nicmp_errors = selected }"
    )
    settings = load_text(f"{config}\npolicies {{ {entries} }}")
    assert settings.connections[0].children[0].icmp_errors is IcmpErrors.CHECKED
    assert [one.icmp_errors for one in settings.policies] == [IcmpErrors.CHECKED, IcmpErrors.SELECTED]
    assert policy("action = protect\nchild = net").icmp_errors is IcmpErrors.RELATED


# covers R4301-4.4.1.2-3
def test_an_opaque_port_is_not_populated() -> None:
    limits = "local = 10.1.0.0/16\nremote = 10.2.0.0/16\nprotocol = tcp\nlocal_ports = opaque"
    assert "opaque" in mistake(f"action = protect\nchild = net\n{limits}\npfp = local_port")


def test_protection_is_not_one_way() -> None:
    limits = "local = 10.1.0.0/16\nremote = 10.2.0.0/16"
    assert "both ways" in mistake(f"action = protect\nchild = net\n{limits}\ndirection = out")


def test_two_entries_have_not_the_same_order() -> None:
    with pytest.raises(InvalidConfigError, match="entry 'a' has the order 10 already"):
        policies("a { action = bypass }\nb { action = discard\norder = 10 }")


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("action = discard\nremote_types = 5", ["say 'local_types' too, or 'direction = in'"]),
        ("action = bypass\nlocal_types = 8", ["say 'remote_types' too, or 'direction = out'"]),
        ("action = discard\nremote_types = 5\ndirection = in", []),
        ("action = discard\nremote_types = 5\nlocal_types = any", []),
        ("action = bypass\nlocal_types = 8\nremote_types = 0", []),
        ("action = protect\nchild = net\nlocal_types = 8", []),
    ],
)
def test_types_of_one_end_say_nothing_of_the_other(text: str, warned: list[str]) -> None:
    warnings = load_text(f"{GATEWAY}\npolicies {{ one {{ {text}\nprotocol = icmp\n}} }}").warnings
    assert len(warnings) == len(warned)
    assert all(words in str(one) for words, one in zip(warned, warnings, strict=True))
