"""Signatures by raw public keys, each kind, set up by either side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.errors import LabError
from lab.process import PATIENCE_S, until
from lab.strongswan import StrongSwan
from lab.topology import host, two_sites
from lab.traffic import ping
from support.keys import key_pair, private_pem, public_pem

HERE = Path(__file__).parent
KINDS = {"rsa": "RSA", "ecdsa-256": "P-256", "ecdsa-384": "P-384", "ecdsa-521": "P-521"}
KINDS |= {"ed25519": "Ed25519", "ed448": "Ed448"}
PROOFS = {
    "rsa-pss": ("RSASSA-PSS with SHA-256", "RSASSA-PSS with SHA-384"),
    "rsa-pkcs1": ("RSASSA-PKCS1-v1_5 with SHA-512", "RSASSA-PKCS1-v1_5 with SHA-256"),
    "ecdsa-256": ("ECDSA with SHA-256", "ECDSA with SHA-256"),
    "ecdsa-384": ("ECDSA with SHA-384", "ECDSA with SHA-384"),
    "ecdsa-521": ("ECDSA with SHA-512", "ECDSA with SHA-512"),
    "ed25519": ("Ed25519", "Ed25519"),
    "ed448": ("Ed448", "Ed448"),
    "mixed": ("PSK", "Ed25519"),
}
"""By what we prove ourselves, and by what strongSwan does."""

CONNECTIONS = [*PROOFS, "wrong-key"]
OLDER = {
    "method-1": ("RSASSA-PKCS1-v1_5 with SHA-1", "RSASSA-PKCS1-v1_5 with SHA-1"),
    "method-9": ("ECDSA with SHA-256", "ECDSA with SHA-256"),
    "method-11": ("ECDSA with SHA-512", "ECDSA with SHA-512"),
}


@contextmanager
def gateways_of(bench: Bench, suffix: str, networks: int, settings: str = "") -> Iterator[Gateways]:
    """Run both gateways with a pair of configurations, and the keys that these name."""
    keys = bench.directory / "keys"
    (keys / "private").mkdir(parents=True, exist_ok=True)
    for which, side in enumerate("ab"):
        for name, kind in KINDS.items():
            key = key_pair(kind, which)
            (keys / f"{side}-{name}.pub").write_bytes(public_pem(key))
            (keys / "private" / f"{side}-{name}.pem").write_bytes(private_pem(key))
    configs = []
    for name in ("perilune", "swanctl"):
        text = (HERE / f"{name}{suffix}.conf").read_text().replace("KEYS", str(keys))
        configs.append(keys / f"{name}{suffix}.conf")
        configs[-1].write_text(text)
    with two_sites(networks=networks) as sites:
        ours = bench.ours(sites.gateway_a, configs[0])
        theirs = bench.theirs(sites.gateway_b, configs[1], settings)
        (ours.directory / "private").unlink(missing_ok=True)
        (ours.directory / "private").symlink_to(keys / "private")
        with bench.gateways(sites, ours, theirs) as gateways:
            for daemon, side in ((ours, "a"), (theirs, "b")):
                if isinstance(daemon, StrongSwan):
                    for pem in sorted((keys / "private").glob(f"{side}-*")):
                        daemon.load_key(pem.read_text())
            yield gateways


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with gateways_of(bench, "", len(CONNECTIONS)) as gateways:
        yield gateways


@pytest.fixture(scope="module")
def older(bench: Bench) -> Iterator[Gateways]:
    # Both pairs of gateways run at once, each with its own logs and sockets.
    beside = Bench(bench.directory / "older", bench.peer_alone)
    beside.directory.mkdir()
    settings = "signature_authentication = no"
    with gateways_of(beside, "-older", len(OLDER), settings) as gateways:
        yield gateways


def set_up(gateways: Gateways, name: str, initiator: str, network: int) -> tuple[str, ...]:
    """Set a connection up, use it, and return by what each side proved itself, as our side says."""
    first, second = gateways.by_name(initiator), gateways.other(initiator)
    first.initiate(name)
    second.wait_for_child(name)
    assert ping(gateways.sites.host_a, host(2, network), count=1) == 1
    (sa,) = gateways.ours.ike_sas(name)
    first.terminate(name)
    until(lambda: not second.ike_sas(name), PATIENCE_S, "the deletion to arrive")
    return tuple(sa.fields.get(f"{end}-auth", "") for end in ("local", "remote"))


@pytest.mark.interop
@pytest.mark.parametrize("initiator", ["ours", "theirs"])
@pytest.mark.parametrize("name", PROOFS)
def test_proof(gateways: Gateways, name: str, initiator: str, bench: Bench) -> None:
    """Authenticated by raw public keys."""
    proofs = set_up(gateways, name, initiator, CONNECTIONS.index(name))
    assert bench.peer_alone or proofs == PROOFS[name]


@pytest.mark.interop
@pytest.mark.parametrize("initiator", ["ours", "theirs"])
@pytest.mark.parametrize("name", OLDER)
def test_older_method(older: Gateways, name: str, initiator: str, bench: Bench) -> None:
    """Authenticated by raw public keys with a peer that does not know RFC 7427."""
    proofs = set_up(older, name, initiator, list(OLDER).index(name))
    assert bench.peer_alone or proofs == OLDER[name]


@pytest.mark.interop
@pytest.mark.parametrize("initiator", ["ours", "theirs"])
def test_wrong_key(gateways: Gateways, initiator: str, bench: Bench) -> None:
    """A key that the other side does not expect: AUTHENTICATION_FAILED."""
    start = len(gateways.ours.log())
    with pytest.raises(LabError):
        gateways.by_name(initiator).initiate("wrong-key")
    if not bench.peer_alone:
        until(
            lambda: "AUTHENTICATION_FAILED" in gateways.ours.log()[start:],
            PATIENCE_S,
            "our log to say so",
        )
    assert all(not sa.children for sa in gateways.ours.ike_sas("wrong-key"))
