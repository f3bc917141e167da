"""The section `sas`: manual keys."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from perilune.config.load import load_text
from perilune.config.problems import InvalidConfigError
from perilune.databases.manual import ManualSa
from perilune.databases.processing import (
    DestinationOptions,
    DontFragment,
    DscpMap,
    Fragmentation,
    InnerAddresses,
    Lookup,
    Mode,
    SecurityProtocol,
    TfcToPathMtu,
)
from perilune.databases.sad import Encapsulation, Limits
from perilune.model.iana import EncrId, IntegId, SnId
from perilune.model.selector import TrafficSelector
from perilune.model.time import Duration

AES128 = "0x000102030405060708090a0b0c0d0e0f"
SHA256 = "0x" + "a5" * 32
GCM128_IN, GCM128_OUT = "0x" + "11" * 20, "0x" + "22" * 20
ENDS = "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\n"
CBC = f"proposal = aes128-sha256\nencryption_key = {AES128}\nintegrity_key = {SHA256}\n"
GCM = f"proposal = aes128gcm16\nencryption_key_in = {GCM128_IN}\nencryption_key_out = {GCM128_OUT}\n"
SEQUENCE_FILE = "daemon { sequence_file = /var/lib/perilune/sequences }\n"


def sas(text: str, more: str = "") -> tuple[ManualSa, ...]:
    return load_text(f"sas {{\n{text}\n}}\n{more}").sas


def sa(text: str, more: str = "") -> ManualSa:
    (one,) = sas(f"gw {{\n{text}\n}}", more)
    return one


def mistakes(text: str, more: str = "") -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        sa(text, more)
    assert all(error.line and error.key for error in caught.value.errors)
    return [f"{error.key}: {error.message}" for error in caught.value.errors]


def several_mistakes(text: str, more: str = "") -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        sas(text, more)
    return [f"{error.key}: {error.message}" for error in caught.value.errors]


# covers R4301-4.5-1
def test_two_keys_and_an_spi_make_a_pair_of_sas() -> None:
    one = sa(f"spi = 0x1000\n{ENDS}{CBC}local_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16")
    assert one.name == "gw"
    assert one.inbound == one.outbound
    assert one.inbound is not None
    assert one.inbound.spi == 0x1000
    assert one.inbound.keys.encryption.reveal() == bytes(range(16))
    assert one.inbound.keys.integrity.reveal() == bytes([0xA5] * 32)
    assert (one.path.local.address, one.path.remote.address) == (
        ip_address("192.0.2.1"),
        ip_address("192.0.2.2"),
    )
    assert one.suite.encryption.id is EncrId.ENCR_AES_CBC
    assert one.suite.integrity is IntegId.AUTH_HMAC_SHA2_256_128
    assert one.local == (TrafficSelector(ip_address("10.1.0.0"), ip_address("10.1.255.255")),)
    assert one.processing.mode is Mode.TUNNEL


# covers R4303-3.3.3-2
def test_replays_are_not_looked_for_unless_asked() -> None:
    assert sa(f"spi = 0x1000\n{ENDS}{CBC}").replay_window_packets == 0


def test_each_direction_may_have_its_own_keys_and_spi() -> None:
    one = sa(f"spi_in = 257\nspi_out = 258\n{ENDS}{GCM}", SEQUENCE_FILE)
    assert one.inbound is not None
    assert one.outbound is not None
    assert (one.inbound.spi, one.outbound.spi) == (257, 258)
    assert one.inbound.keys != one.outbound.keys


def test_one_direction_alone_is_an_sa_too() -> None:
    assert sa(f"spi_in = 257\n{ENDS}{CBC}").outbound is None
    assert sa(f"spi_out = 257\n{ENDS}{CBC}").inbound is None


def test_ah_has_integrity_only() -> None:
    one = sa(f"spi = 300\n{ENDS}protocol = ah\nmode = transport\nproposal = sha256\nintegrity_key = {SHA256}")
    assert one.protocol is SecurityProtocol.AH
    assert (one.suite.integrity, one.suite.keying_octets) == (IntegId.AUTH_HMAC_SHA2_256_128, 32)


def test_dynamic_is_our_end_and_the_peers() -> None:
    one = sa(f"spi = 300\n{ENDS}{CBC}mode = transport\nremote_ts = dynamic[tcp/80]")
    end = ip_address("192.0.2.2")
    assert one.remote == (TrafficSelector(end, end, 6, 80, 80),)


def test_transport_mode_may_have_wider_selectors_and_outer_destination_options() -> None:
    one = sa(f"spi = 300\n{ENDS}{CBC}mode = transport\nlocal_ts = 192.0.2.0/24\nremote_ts = 0.0.0.0/0")
    assert one.processing.mode is Mode.TRANSPORT
    outside = sa(f"spi = 300\n{ENDS}{CBC}mode = transport\ndestination_options = outside")
    assert outside.processing.destination_options is DestinationOptions.OUTSIDE
    group = "local_addrs = 233.252.0.1\nremote_addrs = 192.0.2.2\nlookup = spi-destination\n"
    anyone = sa(f"spi_in = 300\n{group}{CBC}mode = transport\nremote_ts = 10.0.0.0/8")
    assert anyone.lookup is Lookup.SPI_DESTINATION


def test_beet_has_addresses_inside() -> None:
    one = sa(f"spi = 300\n{ENDS}{CBC}mode = beet\ninner_local = 2001:db8::1\ninner_remote = 2001:db8::2")
    inside = InnerAddresses(ip_address("2001:db8::1"), ip_address("2001:db8::2"))
    assert one.processing.inner == inside
    assert one.local == (TrafficSelector(inside.local, inside.local),)


def test_everything_that_an_sa_may_be_told() -> None:
    one = sa(
        f"spi = 300\n{ENDS}{CBC}encap = udp\nremote_port = 4501\npriority = 7\nlookup = spi-destination\n"
        "soft_time = 1h\nhard_time = 2h\nsoft_bytes = 1k\nhard_bytes = 1m\nsoft_packets = 9\n"
        "hard_packets = 10\n"
        "df = set\ndscp = 46\nhop_limit = 3\nflow_label = 0xabcde\n"
        "fragmentation = before\ntfc_padding = mtu\n"
        "path_mtu = 1400\npath_mtu_age = 60s\nbelieve_icmp = no\n"
        "sequence_overflow = cycle"
    )
    assert one.encapsulation is Encapsulation.UDP
    assert (one.path.local.port, one.path.remote.port) == (4500, 4501)
    assert (one.priority, one.lookup, one.sequence_cycles) == (7, Lookup.SPI_DESTINATION, True)
    assert one.lifetime.soft == Limits(octets=1024, packets=9, time=Duration.seconds(3600))
    assert one.lifetime.hard == Limits(octets=1 << 20, packets=10, time=Duration.seconds(7200))
    form = one.processing
    assert (form.df, form.dscp, form.hop_limit) == (DontFragment.SET, DscpMap.all_to(46), 3)
    assert form.flow_label == 0xABCDE
    assert (form.fragmentation, form.tfc) == (Fragmentation.BEFORE, TfcToPathMtu.PATH_MTU)
    assert (form.path_mtu, form.path_mtu_age, form.believe_icmp) == (1400, Duration.seconds(60), False)


# covers R4303-3.3.2.2-2
def test_a_counter_mode_needs_a_file_for_its_sequence_numbers() -> None:
    (mistake,) = mistakes(f"spi = 300\n{ENDS}{GCM}")
    assert mistake.startswith("sas.gw.proposal: sequence numbers must not begin again with the next start")
    assert "daemon.sequence_file" in mistake
    assert sa(f"spi = 300\n{ENDS}{GCM}", SEQUENCE_FILE).needs_sequence


def test_a_counter_mode_that_only_receives_needs_none() -> None:
    assert not sa(f"spi_in = 300\n{ENDS}proposal = aes128gcm16\nencryption_key = {GCM128_IN}").needs_sequence


# covers R4303-3.3.3-2
def test_a_replay_window_needs_the_file_too() -> None:
    text = f"spi = 300\n{ENDS}{CBC}replay_window = 64"
    (mistake,) = mistakes(text)
    assert mistake.startswith("sas.gw.replay_window: sequence numbers must not begin again")
    assert sa(text, SEQUENCE_FILE).replay_window_packets == 64


def test_a_counter_mode_is_warned_of() -> None:
    (warning,) = load_text(f"sas {{ gw {{\nspi = 300\n{ENDS}{GCM} }} }}\n{SEQUENCE_FILE}").warnings
    assert "RFC 8221" in warning


# covers R4303-3.3.2.2-2
def test_two_senders_never_share_a_key_of_a_counter_mode() -> None:
    text = f"spi = 300\n{ENDS}proposal = aes128gcm16\nencryption_key = {GCM128_IN}"
    (mistake,) = mistakes(text, SEQUENCE_FILE)
    assert "its other direction has the same key and salt" in mistake
    other = f"spi = 301\n{ENDS}{GCM}"
    shared = several_mistakes(f"a {{\nspi = 300\n{ENDS}{GCM}\n}}\nb {{\n{other}\n}}", SEQUENCE_FILE)
    assert [mistake.partition(":")[0] for mistake in shared] == [
        "sas.b.encryption_key_in",
        "sas.b.encryption_key_out",
    ]
    assert "SA 'a' has the same key and salt" in shared[0]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (CBC + "spi = 300", "sas.gw: local_addrs is missing, and has to be one address"),
        (ENDS + CBC, "sas.gw: it has neither spi_in nor spi_out"),
        (ENDS + "spi = 300", "sas.gw.proposal: it names no algorithms"),
        (ENDS + CBC + "spi = 255", "sas.gw.spi: '255' is not from 256 to 4294967295"),
        (
            f"spi = 300\n{ENDS}proposal = aes128-sha256\nintegrity_key = {SHA256}",
            "sas.gw: AES_CBC-128 needs encryption_key_in or encryption_key with 16 octets",
        ),
        (
            f"spi = 300\n{ENDS}proposal = aes256-sha256\nencryption_key = {AES128}\nintegrity_key = {SHA256}",
            "sas.gw.encryption_key: the key has 16 octets; AES_CBC-256 takes 32",
        ),
        (
            f"spi_in = 300\n{ENDS}{CBC}encryption_key_out = {AES128}",
            "sas.gw.encryption_key_out: without spi_out there is no such direction",
        ),
        (
            f"spi = 300\n{ENDS}proposal = aes128-sha256-x25519\n",
            "sas.gw.proposal: 'aes128-sha256-x25519': no keys are exchanged for an SA with manual keys",
        ),
        (
            f"spi = 300\n{ENDS}proposal = aes128-sha256-sha512\n",
            "sas.gw.proposal: 'aes128-sha256-sha512': there is nobody to choose with, so one algorithm of"
            " each kind only",
        ),
        (
            f"spi = 300\n{ENDS}protocol = ah\nproposal = aes128-sha256",
            "sas.gw.proposal: 'aes128-sha256': AH has an integrity algorithm and nothing else",
        ),
        (
            f"spi = 300\n{ENDS}protocol = ah\nproposal = sha256\nintegrity_key = {SHA256}\nencap = udp",
            "sas.gw.encap: AH does not travel in UDP: what it protects includes the addresses",
        ),
        (f"spi = 300\n{ENDS}{CBC}mode = beet", "sas.gw.mode: mode beet needs inner_local"),
        (f"spi = 300\n{ENDS}{CBC}inner_local = 10.0.0.1", "sas.gw.inner_local: this is for mode beet only"),
        (
            f"spi_out = 300\n{ENDS}{CBC}lookup = spi-destination",
            "sas.gw.lookup: this says how an inbound SA is found, and there is none",
        ),
        (
            f"spi = 300\n{ENDS}{CBC}soft_time = 2h\nhard_time = 1h",
            "sas.gw.soft_time: soft_time is not less than hard_time",
        ),
        (
            f"spi = 300\n{ENDS}{CBC}destination_options = outside",
            "sas.gw.destination_options: this is for mode transport only",
        ),
        (f"spi = 300\n{ENDS}{CBC}remote_port = 4501", "sas.gw.remote_port: this is for 'encap = udp' only"),
        (
            f"spi = 300\n{ENDS}protocol = ah\nproposal = sha256\nintegrity_key = {SHA256}\ntfc_padding = mtu",
            "sas.gw.tfc_padding: AH has no padding",
        ),
        (
            f"spi = 300\n{ENDS}{CBC}mode = transport\nlocal_ts = 10.1.0.0/16\nremote_ts = 192.0.2.0/24",
            "sas.gw.local_ts: mode transport is for packets of the two ends themselves, and 192.0.2.1 is not"
            " in here; 'mode = tunnel' is for networks",
        ),
        (
            f"spi = 300\n{ENDS}{CBC}mode = transport\nremote_ts = 10.2.0.0/16[tcp]",
            "sas.gw.remote_ts: mode transport is for packets of the two ends themselves, and 192.0.2.2 is not"
            " in here; 'mode = tunnel' is for networks",
        ),
        (f"spi = 300\n{ENDS}{CBC}within = none", "sas.gw.within: there is no SA 'none'"),
        (
            "spi = 300\nlocal_addrs = 192.0.2.1\nremote_addrs = 2001:db8::1\n" + CBC,
            "sas.gw.remote_addrs: local_addrs and remote_addrs are of different families",
        ),
    ],
)
def test_a_mistake_is_told_with_its_key(text: str, mistake: str) -> None:
    assert mistake in mistakes(text)


def test_sequence_numbers_cycle_only_where_nobody_counts() -> None:
    text = f"spi = 300\n{ENDS}{GCM}sequence_overflow = cycle"
    (mistake,) = mistakes(text, SEQUENCE_FILE)
    assert mistake.startswith("sas.gw.sequence_overflow: a sequence number may come again only without")


def test_packets_must_be_able_to_tell_sas_apart() -> None:
    text = "\n".join(f"{name} {{\nspi = 300\n{ENDS}{CBC}\n}}" for name in "ab")
    assert several_mistakes(text)[0].endswith("SA 'a' has the SPI 0x0000012c already")


def test_sas_are_within_each_other_up_to_four() -> None:
    def nested(count: int) -> str:
        parts = [
            f"n{index} {{\nspi = {300 + index}\n{ENDS}{CBC}within = n{index + 1}\n}}"
            for index in range(count - 1)
        ]
        return "\n".join([*parts, f"n{count - 1} {{\nspi = 999\n{ENDS}{CBC}\n}}"])

    assert len(sas(nested(4))) == 4
    assert "more than 4 SAs are within each other" in several_mistakes(nested(5))[0]
    inward = f"a {{\nspi_in = 300\n{ENDS}{CBC}\n}}\nb {{\nspi = 301\n{ENDS}{CBC}within = a\n}}"
    assert several_mistakes(inward) == ["sas.b.within: SA 'a' is not outbound"]


@pytest.mark.parametrize("line", [f"spi = 300 encryption_key = {AES128}", f"proposal = x key = {AES128}"])
def test_a_key_that_lost_its_line_is_not_told(line: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        sa(f"{line}\n{ENDS}")
    assert AES128[2:10] not in str(caught.value)


def test_long_sequence_numbers_want_a_window() -> None:
    text = (
        f"spi = 300\n{ENDS}proposal = aes128-sha256-esn\nencryption_key = {AES128}\nintegrity_key = {SHA256}"
    )
    assert sa(text).suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64
    assert "esn without a replay window" in load_text(f"sas {{ gw {{\n{text}\n}} }}").warnings[0]


def test_ah_has_gmac_for_integrity() -> None:
    one = sa(
        f"spi_out = 0x1000\n{ENDS}protocol = ah\nproposal = aes128gmac\nintegrity_key = {GCM128_OUT}",
        SEQUENCE_FILE,
    )
    assert (one.suite.encryption.id, one.suite.integrity) == (EncrId.ENCR_NULL, IntegId.AUTH_AES_128_GMAC)
    assert one.suite.uses_counter


DES = (
    f"spi = 0x1000\n{ENDS}proposal = des-md5\nencryption_key = 0x0123456789abcdef\nintegrity_key = {AES128}\n"
)
ALONE = f"spi = 0x1000\n{ENDS}proposal = aes128-noauth\nencryption_key = {AES128}\n"


@pytest.mark.parametrize("text", [DES, ALONE])
def test_insecure_algorithms_need_their_key(text: str) -> None:
    (mistake,) = mistakes(text)
    assert mistake.startswith("sas.gw.proposal: ")
    assert "'allow_insecure = yes'" in mistake
    assert sa(text + "allow_insecure = yes\n").suite.is_insecure


# covers R4303-3.4.3-1
def test_no_replay_window_without_integrity() -> None:
    (mistake,) = mistakes(ALONE + "allow_insecure = yes\nreplay_window = 64\n", SEQUENCE_FILE)
    assert "no replay protection" in mistake
