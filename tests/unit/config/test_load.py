"""Whole configurations."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from perilune.config.load import load, load_text
from perilune.config.problems import InvalidConfigError
from perilune.config.settings import DaemonSettings, LogLevel, Settings, Unmatched
from perilune.databases.pad import (
    ANY_IPV4,
    ANY_IPV6,
    AddressRange,
    ChildPolicy,
    DynamicSelector,
    Fragmentation,
    LossAction,
    PadEntry,
    StartAction,
)
from perilune.databases.sad import Lifetime, Limits
from perilune.databases.spd import Action
from perilune.dataplane.icmp import IcmpKind
from perilune.dataplane.placement import Wire
from perilune.model.identity import Identity
from perilune.model.time import ZERO, Duration

PSK = "local { auth = psk }\nremote { auth = psk }\n"
SECRET = "secrets { ike { secret = correct-horse } }\n"


def connection(text: str, more: str = "") -> PadEntry:
    (entry,) = load_text(f"connections {{ gw {{\n{PSK}{text}\n}} }}\n{SECRET}{more}").connections
    return entry


def child(text: str) -> ChildPolicy:
    (policy,) = connection(f"children {{ net {{\n{text}\n}} }}").children
    return policy


def mistakes(text: str) -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        load_text(text)
    assert all(error.line for error in caught.value.errors)
    assert str(caught.value).splitlines() == [str(error) for error in caught.value.errors]
    return str(caught.value).splitlines()


def connection_mistakes(text: str, more: str = "") -> list[str]:
    return mistakes(f"connections {{ gw {{ {PSK}{text}\n}} }}\n{SECRET}{more}")


def child_mistakes(text: str) -> list[str]:
    return connection_mistakes(f"children {{ net {{ {text}\n}} }}")


def test_nothing_is_a_configuration() -> None:
    assert load_text("") == load_text("# only this\n\n") == Settings()


def test_defaults_of_a_connection() -> None:
    entry = connection("")
    assert (entry.name, entry.local_addrs, entry.remote_addrs) == (
        "gw",
        (ANY_IPV4, ANY_IPV6),
        (ANY_IPV4, ANY_IPV6),
    )
    assert (entry.local_port, entry.remote_port, entry.local_id, entry.remote_id) == (500, 500, None, None)
    assert entry == PadEntry(name="gw", proposals=entry.proposals)
    assert len(entry.proposals) == 3


def test_defaults_of_a_child() -> None:
    policy = child("")
    hour = Duration.seconds(3600)
    assert policy == ChildPolicy(
        name="net",
        proposals=policy.proposals,
        lifetime=Lifetime(soft=Limits(time=hour), hard=Limits(time=Duration.seconds(3960))),
        rand_time=Duration.seconds(360),
    )
    assert (len(policy.proposals), policy.local_ts) == (2, (DynamicSelector(),))


# covers R4301-4.4.1.2-5
def test_connection_with_everything() -> None:
    entry = connection(
        """
        version = 2
        local_addrs = 192.0.2.1
        remote_addrs = 192.0.2.2
        local_port = 4500
        remote_port = 4501
        proposals = aes256gcm16-prfsha384-x25519
        encap = yes
        fragmentation = accept
        dpd_delay = 30s
        dpd_timeout = 2m
        rekey_time = 2h
        over_time = 10m
        rand_time = 5m
        keyingtries = 0
        mobike = no
        reauth_time = 0s
        send_cert = never
        unique = no
        local { id = moon.example }
        remote { id = %any }
        """
    )
    ours, theirs = ip_address("192.0.2.1"), ip_address("192.0.2.2")
    assert entry.local_addrs == (AddressRange(ours, ours),)
    assert entry.remote_addrs == (AddressRange(theirs, theirs),)
    assert (entry.local_port, entry.remote_port, entry.encap) == (4500, 4501, True)
    assert (entry.fragmentation, entry.dpd_delay) == (Fragmentation.ACCEPT, Duration.seconds(30))
    assert (entry.rekey_time, entry.over_time, entry.rand_time) == (
        Duration.seconds(7200),
        Duration.seconds(600),
        Duration.seconds(300),
    )
    assert (entry.keyingtries, entry.local_id, entry.remote_id) == (0, Identity.parse("moon.example"), None)
    assert str(entry.proposals[0]) == "IKE: ENCR_AES_GCM_16(256), PRF_HMAC_SHA2_384, CURVE25519"


def test_child_with_everything() -> None:
    policy = child(
        """
        local_ts = 10.1.0.0/16[tcp]
        remote_ts = 10.2.0.0/16[tcp/http]
        esp_proposals = aes128gcm16-esn-noesn
        rekey_time = 30m
        life_time = 40m
        rand_time = 1m
        rekey_bytes = 10m
        life_bytes = 20m
        rand_bytes = 1k
        rekey_packets = 1000
        start_action = trap|start
        close_action = trap
        dpd_action = restart
        replay_window = 1024
        priority = 7
        ipcomp = no
        policies = yes
        } } remote_addrs = gw.example
        children { net {
        """
    )
    assert [str(one) for one in (*policy.local_ts, *policy.remote_ts)] == [
        "10.1.0.0/16[tcp/any]",
        "10.2.0.0/16[tcp/80]",
    ]
    assert policy.lifetime == Lifetime(
        soft=Limits(time=Duration.seconds(1800), octets=10 << 20, packets=1000),
        hard=Limits(time=Duration.seconds(2400), octets=20 << 20, packets=1100),
    )
    assert (policy.rand_time, policy.rand_octets, policy.rand_packets) == (Duration.seconds(60), 1024, 100)
    assert (policy.start_action, policy.close_action, policy.dpd_action) == (
        StartAction.TRAP_START,
        LossAction.TRAP,
        LossAction.START,
    )
    assert (policy.replay_window_packets, policy.priority) == (1024, 7)


def test_daemon_with_everything() -> None:
    daemon = load_text(
        """
        daemon {
            tun = ipsec7
            mtu = 1380
            vici = unix:///tmp/x.vici
            port = 1500
            port_nat_t = 1501
            install_routes = no
            routing_table = 100
            routing_table_prio = 101
            fwmark = 0x50
            log = debug
            half_open_cookie_threshold = 0
            retransmit_tries = 3
            retransmit_timeout = 0.5
            retransmit_base = 2
            retransmit_limit = 10s
            keep_alive = 0
            icmp_unprotected = Too-Big, icmp/3/1, icmpv6/1, icmpv6/2
            icmp_protected = none
            least_path_mtu = 1000
            workers = 3
        }
        """
    ).daemon
    assert daemon == DaemonSettings(
        tun="ipsec7",
        mtu=1380,
        vici=Path("/tmp/x.vici"),  # noqa: S108 - a name, no file is made
        port=1500,
        port_nat_t=1501,
        install_routes=False,
        routing_table=100,
        routing_table_prio=101,
        fwmark=0x50,
        log=LogLevel.DEBUG,
        half_open_cookie_threshold=0,
        retransmit_tries=3,
        retransmit_timeout=Duration.milliseconds(500),
        retransmit_base=2,
        retransmit_limit=Duration.seconds(10),
        keep_alive=ZERO,
        icmp_unprotected=(IcmpKind(4, 3, 4), IcmpKind(6, 2), IcmpKind(4, 3, 1), IcmpKind(6, 1)),
        icmp_protected=(),
        least_path_mtu=1000,
        workers=3,
    )


def test_daemon_in_the_wire() -> None:
    daemon = load_text(
        "daemon { placement = wire\n inside = eth1\n outside = eth2\n unmatched = drop }"
    ).daemon
    assert (daemon.wire, daemon.unmatched) == (Wire("eth1", "eth2"), Unmatched.DISCARD)


def test_defaults_of_the_schema_are_those_of_the_settings() -> None:
    assert load_text("daemon {}").daemon == DaemonSettings()


@pytest.mark.parametrize(
    ("text", "rekey_s", "life_s", "rand_s"),
    [
        ("rekey_time = 100s", 100, 110, 10),
        ("life_time = 110s", 100, 110, 10),
        ("life_time = 2h", 3600, 7200, 3600),
        ("rekey_time = 0", None, None, 0),
        ("rekey_time = 0\nlife_time = 5m", None, 300, 0),
        ("rekey_time = 1m\nlife_time = 0", 60, None, 0),
        ("rekey_time = 1m\nrand_time = 0", 60, 66, 0),
    ],
)
def test_times_that_follow_from_others(
    text: str, rekey_s: int | None, life_s: int | None, rand_s: int
) -> None:
    policy = child(text)
    soft, hard = policy.lifetime.soft.time, policy.lifetime.hard.time
    assert (soft and soft.in_seconds, hard and hard.in_seconds, policy.rand_time.in_seconds) == (
        rekey_s,
        life_s,
        rand_s,
    )


@pytest.mark.parametrize(
    ("text", "over_s", "rand_s"),
    [
        ("rekey_time = 1000s", 100, 100),
        ("rekey_time = 0", 0, 0),
        ("rekey_time = 1000s\nover_time = 800s", 800, 500),
    ],
)
def test_times_of_an_ike_sa(text: str, over_s: int, rand_s: int) -> None:
    entry = connection(text)
    assert (entry.over_time.in_seconds, entry.rand_time.in_seconds) == (over_s, rand_s)


def test_pass_and_drop_need_no_proof_and_no_proposal() -> None:
    text = "connections { shunt { children { a { mode = pass }\n b { mode = drop } } } }"
    settings = load_text(text)
    assert [(one.action, one.proposals) for one in settings.connections[0].children] == [
        (Action.BYPASS, ()),
        (Action.DISCARD, ()),
    ]
    assert settings.warnings == ()


def test_connection_uses_the_port_of_its_daemon() -> None:
    assert connection("", "daemon { port = 1500 }").local_port == 1500


def test_secrets_and_their_owners() -> None:
    secrets = load_text(
        """
        secrets {
            ike-a { id-1 = moon
                    id-2 = 192.0.2.1
                    secret = "a" }
            ike-b { secret = 0x62 }
            ike-c { id = %any
                    id-2 = moon
                    secret = 0sYw== }
        }
        """
    ).secrets
    assert [(one.secret.reveal(), one.owners) for one in secrets] == [
        (b"a", (Identity.parse("moon"), Identity.parse("192.0.2.1"))),
        (b"b", ()),
        (b"c", ()),
    ]
    assert [one.key for one in secrets] == ["secrets.ike-a", "secrets.ike-b", "secrets.ike-c"]


def test_template_serves_several_connections() -> None:
    settings = load_text(
        f"""
        t {{ {PSK}
             children {{ net {{ local_ts = 10.0.0.0/8 }} }} }}
        connections {{
            a : t {{ remote {{ id = a }} }}
            b : t {{ remote {{ id = b }}
                     children {{ net {{ local_ts = }} }} }}
        }}
        {SECRET}
        """
    )
    assert [str(entry.remote_id) for entry in settings.connections] == ["a", "b"]
    assert [entry.children[0].local_ts == (DynamicSelector(),) for entry in settings.connections] == [
        False,
        True,
    ]


def test_every_mistake_is_told_at_once_in_order() -> None:
    text = """connections {
  gw {
    locl_addrs = 192.0.2.1
    version = 1
    mobike = yes
    local { auth = pubkey }
    remote { auth = psk }
    remote-2 { auth = psk }
    children {
      a { mode = transport_proxy }
    }
    secrets { }
  }
}
secrets { ike { } }
conections { }
"""
    assert mistakes(text) == [
        "line 3: connections.gw.locl_addrs: this key is not known (did you mean 'local_addrs'?)",
        "line 4: connections.gw.version: '1' is not one of 2, 0",
        "line 5: connections.gw.mobike: this key is known to swanctl.conf and not supported here yet,"
        " except with 'no'",
        "line 6: connections.gw.local: 'pubkeys' is missing: certificates are not supported yet",
        "line 8: connections.gw.remote-2: several rounds of authentication are not supported yet",
        "line 10: connections.gw.children.a.mode: mode 'transport_proxy' is known to swanctl.conf and not"
        " supported here yet",
        "line 12: connections.gw.secrets: this section is not known",
        "line 15: secrets.ike: there is no secret in it",
        "line 16: conections: this section is not known (did you mean 'connections'?)",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pools = rw", "not supported here yet"),
        ("vips = 0.0.0.0", "not supported here yet"),
        ("reauth_time = 1h", "not supported here yet, except with '0'"),
        ("unique = replace", "except with 'no'"),
        ("children = x", "'children' is a section, not a key"),
        ("encap { }", "'encap' is a key, not a section"),
        ("encap = perhaps", "'perhaps' is not one of yes, no"),
        ("local_port = 501", "neither daemon.port"),
        ("rekey_time = 1m\nrand_time = 2m", "rekey_time is less than rand_time"),
        ("local { id = *.example }", "is a group"),
        ("local { cert { } }", "this section is known to swanctl.conf"),
        ("remote { id = a*.example }", "a wildcard is"),
        ("children { x { }\n y = 1 }", "this key is not known"),
    ],
)
def test_mistake_in_a_connection(text: str, message: str) -> None:
    (mistake,) = connection_mistakes(text)
    assert message in mistake


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local_ts = 10.0.0.0/8\nremote_ts = ::/0", "no address family in common"),
        ("local_ts = " + ", ".join(f"10.0.{i}.0/24" for i in range(255)), "255 selectors are more than"),
        ("local_ts = 10.0.0.0/8[tcp]\nremote_ts = 10.0.0.0/8[udp]", "no protocol in common"),
        ("rekey_time = 2h\nlife_time = 1h", "life_time is less than rekey_time"),
        ("rekey_time = 1h\nrand_time = 2h", "rekey_time is less than rand_time"),
        ("rekey_bytes = 2k\nlife_bytes = 1k", "life_bytes is less than rekey_bytes"),
        ("rekey_packets = 10\nrand_packets = 11", "rekey_packets is less than rand_packets"),
        ("replay_window = 31", "neither 0 nor from 32 to 4096"),
        ("replay_window = 4097", "not from 0 to 4096"),
        ("start_action = start", "no name and no single address"),
        ("start_action = trapp", "did you mean 'trap'"),
        ("sha256_96 = yes", "not supported here yet, except with 'no'"),
        ("updown = /bin/x", "not supported here yet"),
        ("esp_proposals = aes256-modp1024", "'modp1024' is too weak"),
        ("mode = transport_proxy", "not supported here yet"),
        ("copy_dscp = in", "not copied inside here"),
        ("tfc_padding = 70000", "not from 0 to 65535"),
        ("path_mtu = 60", "neither 0 nor from 68 to 65535"),
        ("priority = -1", "no whole number"),
    ],
)
def test_mistake_in_a_child(text: str, message: str) -> None:
    (mistake,) = child_mistakes(text)
    assert message in mistake


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("connections { gw { } }", "'local { auth = psk }' is missing"),
        ("connections { gw { remote { auth = psk }\n local { id = x } } }", "'auth = psk' is missing"),
        ("connections { gw { children { net { } } } }", "'remote { auth = psk }' is missing"),
        ("pools { rw { addrs = 10.0.0.0/24 } }", "pools: this section is known to swanctl.conf"),
        ("authorities { }", "authorities: this section is known to swanctl.conf"),
        ("daemon { port = 4500 }", "port and port_nat_t are the same"),
        ("daemon { icmp_unprotected = to-big }", "did you mean 'too-big'"),
        ("daemon { icmp_protected = icmp/256 }", "type and code are 0 to 255"),
        ("daemon { icmp_protected = icmp/3/4/5 }", "nor as icmp/3, icmp/3/4 or icmpv6/1"),
        ("daemon { least_path_mtu = 67 }", "not from 68 to 65535"),
        ("daemon { tun = a/b }", "no name of a device"),
        ("daemon { tun = .. }", "no name of a device"),
        ("daemon { placement = wire }", "both `inside` and `outside` must name"),
        ("daemon { placement = wire\n inside = eth1 }", "both `inside` and `outside` must name"),
        ("daemon { placement = wire\n inside = eth1\n outside = eth1 }", "the same interface"),
        ("daemon { placement = wire\n inside = eth1\n outside = eth2\n tun = x }", "no TUN device"),
        ("daemon { inside = eth1 }", "for `placement = wire` only"),
        ("daemon { placement = middle }", "not one of tun, wire"),
        ("daemon { vici = tcp://127.0.0.1:4502 }", "no absolute path"),
        ("daemon { vici = unix:///" + "x" * 200 + " }", "at most 107 octets"),
        ("daemon { keylog = keys }", "no absolute path"),
        ("daemon { log = verbose }", "not one of debug, info, warning, error"),
        ("daemon { retransmit_timeout = 0 }", "cannot follow at once"),
        ("daemon { retransmit_base = 0.5 }", "not from 1 to 10"),
        ("key = value", "there is a key here that is not known"),
        ("a { b = 1 }", "a: this section is not known"),
    ],
)
def test_mistake_elsewhere(text: str, message: str) -> None:
    assert message in "\n".join(mistakes(text))


def test_value_that_is_inherited_several_times_is_wrong_once() -> None:
    text = f"t {{ {PSK} encap = x }}\nconnections {{ a : t {{}}\n b : t {{}} }}"
    assert len(mistakes(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "secrets { ike { secret = 0xhunter2 } }",
        "secrets { ike { secret = a\nhunter2 = b } }",
        "secrets { ike { secret = a } hunter2 = 1 }",
        "secrets { ike { secret = a }\nhunter2 { } }",
        "secrets { ike { secret = a}} hunter2 = 1",
        "secrets { ike { sceret = hunter2 } }",
        'secrets { ike {\nid = sun secret = "hunter2"\n} }',
        "secrets { ike {\nid = keyid:0x secret = hunter2\n} }",
        "secrets { ike { secret = hunter2 } }\nconnections { gw { } }",
    ],
)
def test_mistake_does_not_show_a_secret(text: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        load_text(text)
    assert "hunter2" not in str(caught.value)
    assert all("hunter2" not in repr(error) for error in caught.value.errors)


def test_settings_do_not_show_a_secret() -> None:
    assert "correct" not in repr(load_text(SECRET))


def test_mistyped_key_in_a_secret_is_told_by_the_one_that_was_meant() -> None:
    found = mistakes("secrets { ike { sceret = x } }")
    assert "line 1: secrets.ike: there is a key here that is not known (did you mean 'secret'?)" in found


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (f"connections {{ gw {{ {PSK} }} }}", ["there is no secret"]),
        (
            f"connections {{ gw {{ {PSK} remote {{ id = sun }} }} }}\n"
            "secrets { ike { id = moon\n secret = x } }",
            ["secret for 'sun'"],
        ),
        (
            f"connections {{ gw {{ {PSK} remote {{ id = sun }} }} }}\n"
            "secrets { ike { id = sun\n secret = x } }",
            [],
        ),
        (
            f"connections {{ a {{ {PSK} children {{ net {{}} }} }}\n"
            f"b {{ {PSK} children {{ net {{}} }} }} }}\n{SECRET}",
            ["name of a child of connection 'a'"],
        ),
        (
            f"connections {{ a {{ {PSK} children {{ net {{ local_ts = 10.0.0.0/8, ::/0\n"
            f"remote_ts = 10.0.0.0/8 }} }} }} }}\n{SECRET}",
            ["of the family of ::/0"],
        ),
        ("daemon { mtu = 1000\n keylog = /var/keys }", ["no IPv6", "keys of every SA"]),
    ],
)
def test_warning(text: str, warnings: list[str]) -> None:
    found = load_text(text).warnings
    assert len(found) == len(warnings)
    assert all(expected in given for expected, given in zip(warnings, found, strict=True))


INSECURE = f"""connections {{ gw {{ {PSK}
    proposals = 3des-sha1-modp2048
    allow_insecure = %s
    children {{ net {{
        esp_proposals = des-noauth, aes128-sha256
        allow_insecure = %s
    }} }}
}} }}
{SECRET}"""


def test_insecure_algorithms_are_warned_of() -> None:
    allowed = load_text(INSECURE % ("yes", "yes"))
    (connection,) = allowed.connections
    assert connection.children[0].allow_insecure
    assert [warning.split(": ", 1)[1] for warning in allowed.warnings] == [
        "connections.gw.proposals: ENCR_3DES: insecure, for old peers only (RFC 8221)",
        "connections.gw.children.net.esp_proposals: ENCR_DES, encryption without integrity:"
        " insecure, for old peers only (RFC 8221)",
    ]


# covers R8221-4-1
@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (("yes", "no"), "net.esp_proposals: ENCR_DES, encryption without integrity: insecure"),
        (("no", "yes"), "gw.proposals: ENCR_3DES: insecure"),
    ],
)
def test_insecure_algorithms_need_the_key_of_their_section(allowed: tuple[str, str], refused: str) -> None:
    (mistake,) = mistakes(INSECURE % allowed)
    assert refused in mistake
    assert "'allow_insecure = yes'" in mistake


def test_equal_files_give_equal_settings() -> None:
    text = f"connections {{ gw {{ {PSK} children {{ net {{}} }} }} }}\n{SECRET}"
    assert load_text(text) == load_text("# a comment\n" + text)
    assert load_text(text) != load_text(text.replace("horse", "mouse"))


def test_file_and_what_it_includes(tmp_path: Path) -> None:
    main = tmp_path / "perilune.conf"
    main.write_text("include conf.d/*.conf\ninclude secrets\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "gw.conf").write_text(f"connections {{ gw {{ {PSK} }} }}\n")
    (tmp_path / "secrets").write_text(SECRET)
    settings = load(main)
    assert ([entry.name for entry in settings.connections], len(settings.secrets)) == (["gw"], 1)

    (tmp_path / "conf.d" / "gw.conf").write_text("connections {\n gw {\n")
    with pytest.raises(InvalidConfigError, match="no '}'") as caught:
        load(str(main))
    assert (caught.value.file, caught.value.line) == (tmp_path / "conf.d" / "gw.conf", 2)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="no such file or directory"):
        load(tmp_path / "gone.conf")
