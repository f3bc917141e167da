"""What a child's packets look like, as the configuration has it."""

from __future__ import annotations

import pytest

from perilune.config.load import load_text
from perilune.config.problems import InvalidConfigError
from perilune.config.settings import Settings
from perilune.databases.child_form import ChildForm
from perilune.databases.pad import ChildPolicy
from perilune.databases.processing import DontFragment, DscpMap, Mode, TfcToPathMtu
from perilune.databases.spd import Action
from perilune.model.iana import ProtocolId
from perilune.model.time import Duration


def settings(text: str) -> Settings:
    ends = "local { auth = psk }\nremote { auth = psk }"
    gw = f"gw {{ {ends}\nchildren {{ net {{\n{text}\n}} }} }}"
    whole = f"connections {{ {gw} }}\nsecrets {{ ike {{ secret = x }} }}"
    return load_text(whole)


def child(text: str) -> ChildPolicy:
    return settings(text).connections[0].children[0]


def dscp_map(outer: dict[int, int]) -> DscpMap:
    return DscpMap(tuple(outer.get(inner, 0) for inner in range(64)))


# covers R4301-4.4.1.2-6
# covers R4301-4.4.1.2-5
@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", ChildForm()),
        ("mode = Transport", ChildForm(mode=Mode.TRANSPORT)),
        ("mode = beet", ChildForm(mode=Mode.BEET)),
        ("tfc_padding = mtu", ChildForm(tfc=TfcToPathMtu.PATH_MTU)),
        ("tfc_padding = 1200", ChildForm(tfc=1200)),
        ("tfc_padding = 0", ChildForm()),
        ("dummy_rate = 20", ChildForm(dummies=20)),
        ("ipcomp = yes", ChildForm(compression=True)),
        ("fragments = yes", ChildForm(fragments=True)),
        ("copy_df = no\ncopy_dscp = no", ChildForm(df=DontFragment.CLEAR, dscp=DscpMap.all_to(0))),
        ("copy_df = yes\ncopy_dscp = out", ChildForm()),
        (
            "copy_dscp = 46:34, 10-12:10\nflow_label = 7",
            ChildForm(dscp=dscp_map({46: 34, 10: 10, 11: 10, 12: 10}), flow_label=7),
        ),
        ("path_mtu = 1400\npath_mtu_age = 2m", ChildForm(path_mtu=1400, path_mtu_age=Duration.seconds(120))),
    ],
)
def test_form_of_a_child(text: str, form: ChildForm) -> None:
    read = child(text)
    assert read.form == form
    assert read.action is Action.PROTECT


@pytest.mark.parametrize("mode", ["transport", "beet"])
def test_child_in_every_mode_has_proposals(mode: str) -> None:
    assert child(f"mode = {mode}").proposals


# covers R4301-4.4.1.2-5
@pytest.mark.parametrize(
    ("text", "proposals"),
    [
        ("", ["ESP", "ESP"]),
        ("ah_proposals = sha256", ["AH"]),
        ("ah_proposals = sha256-x25519, aes256gmac-esn", ["AH", "AH"]),
        ("ah_proposals = default\nesp_proposals = aes256gcm16", ["ESP", "AH"]),
    ],
)
def test_proposals_of_both_protocols(text: str, proposals: list[str]) -> None:
    assert [ProtocolId(one.protocol).name for one in child(text).proposals] == proposals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ah_proposals = aes256-sha256", "AH has an integrity algorithm and nothing else"),
        ("ah_proposals = x25519", "AH needs an integrity algorithm"),
        ("ah_proposals = noauth", "AH needs an integrity algorithm"),
        ("ah_proposals = sha265", "is no algorithm that is known here (did you mean 'sha256'?)"),
        ("ah_proposals = md5", "AUTH_HMAC_MD5_96: insecure"),
        ("ah_proposals = sha256\ntfc_padding = mtu", "AH has no padding"),
        ("ah_proposals = sha256\ndummy_rate = 1", "AH has no dummy packets"),
    ],
)
def test_mistakes_of_ah(text: str, message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        child(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("46:64", "64"),
        ("46:46, 10", "'10' does not say what becomes of it"),
        ("46:46, 40-50:10", "'40-50' is no range, or named twice"),
        ("12-10:10", "'12-10' is no range, or named twice"),
    ],
)
def test_lists_of_dscps_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        child(f"copy_dscp = {text}")


@pytest.mark.parametrize("mode", ["transport", "beet"])
def test_only_tunnels_take_fragments(mode: str) -> None:
    with pytest.raises(InvalidConfigError, match="only mode tunnel takes fragments"):
        child(f"mode = {mode}\nfragments = yes")


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("local_ts = 10.9.0.1\nremote_ts = 10.9.0.2", 0),
        ("", 0),
        ("local_ts = 10.9.0.1[tcp/80], 10.9.0.1[tcp/443]\nremote_ts = 10.9.0.2", 0),
        ("local_ts = 10.9.0.1\nremote_ts = 10.9.0.0/24", 1),
        ("local_ts = 10.9.0.1, 10.9.0.2\nremote_ts = 10.9.0.0/24", 2),
    ],
)
def test_who_gives_beet_mode_networks_is_warned(text: str, warned: int) -> None:
    warnings = [one for one in settings(f"mode = beet\n{text}").warnings if "mode beet" in one]
    assert len(warnings) == warned


GATEWAY = """
connections {{ gw {{
    local_addrs = {ends[0]}
    remote_addrs = {ends[1]}
    {more}
    local {{ auth = psk }}
    remote {{ auth = psk }}
    children {{ net {{
        {child}
    }} }}
}} }}
secrets {{ ike {{ secret = x }} }}
"""


def warnings(child: str, ends: tuple[str, str] = ("192.0.2.1", "192.0.2.2"), more: str = "") -> list[str]:
    return [str(one) for one in load_text(GATEWAY.format(ends=ends, more=more, child=child)).warnings]


@pytest.mark.parametrize(
    ("ends", "child", "keys"),
    [
        (("192.0.2.1", "192.0.2.2"), "", []),
        (("192.0.2.1", "192.0.2.2"), "local_ts = 192.0.2.0/24\nremote_ts = 0.0.0.0/0", []),
        (("192.0.2.1", "192.0.2.2"), "local_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16", ["local", "remote"]),
        (("192.0.2.1", "192.0.2.2"), "remote_ts = 10.2.0.0/16, 192.0.2.2[tcp]", []),
        (("%any", "sun.example.org"), "local_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16", []),
        (("%any4", "192.0.2.0/24"), "local_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16", ["remote"]),
    ],
)
def test_who_gives_transport_mode_networks_is_warned(
    ends: tuple[str, str], child: str, keys: list[str]
) -> None:
    told = warnings(f"mode = transport\n{child}", ends)
    assert len(told) == len(keys)
    assert all(f"net.{key}_ts: mode transport" in one for key, one in zip(keys, told, strict=True))
    assert not [one for one in warnings(f"mode = tunnel\n{child}", ends) if "transport" in one]


def test_who_gives_ah_a_nat_is_warned() -> None:
    (told,) = warnings("ah_proposals = sha256", more="encap = yes")
    assert "net.ah_proposals: AH passes no NAT" in told
    assert warnings("ah_proposals = sha256\nesp_proposals = aes256gcm16", more="encap = yes") == []
    assert warnings("ah_proposals = sha256") == []


def test_in_the_wire_there_is_no_transport_mode() -> None:
    wire = "daemon { placement = wire\ninside = eth1\noutside = eth2 }\n"
    text = GATEWAY.format(ends=("192.0.2.1", "192.0.2.2"), more="", child="mode = transport")
    with pytest.raises(InvalidConfigError, match="in the wire there is no transport mode"):
        load_text(wire + text)
