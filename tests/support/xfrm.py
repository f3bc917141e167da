"""SAs of ours in the words of `ip xfrm`, as the kernel at the other end has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from perilune.databases.processing import Mode, Processing, SecurityProtocol
from perilune.databases.sad import Direction, Encapsulation, EspKeys, SadEntry
from perilune.model.address import Endpoint
from perilune.model.iana import EncrId, IntegId, SnId
from perilune.model.proposal import EspSuite
from perilune.model.selector import TrafficSelector

AEADS = {
    EncrId.ENCR_AES_CCM_8: ("rfc4309(ccm(aes))", 64),
    EncrId.ENCR_AES_CCM_12: ("rfc4309(ccm(aes))", 96),
    EncrId.ENCR_AES_CCM_16: ("rfc4309(ccm(aes))", 128),
    EncrId.ENCR_AES_GCM_8: ("rfc4106(gcm(aes))", 64),
    EncrId.ENCR_AES_GCM_12: ("rfc4106(gcm(aes))", 96),
    EncrId.ENCR_AES_GCM_16: ("rfc4106(gcm(aes))", 128),
    EncrId.ENCR_CHACHA20_POLY1305: ("rfc7539esp(chacha20,poly1305)", 128),
    EncrId.ENCR_NULL_AUTH_AES_GMAC: ("rfc4543(gcm(aes))", 128),
}
CIPHERS = {
    EncrId.ENCR_3DES: "cbc(des3_ede)",
    EncrId.ENCR_AES_CBC: "cbc(aes)",
    EncrId.ENCR_AES_CTR: "rfc3686(ctr(aes))",
    EncrId.ENCR_BLOWFISH: "cbc(blowfish)",
    EncrId.ENCR_CAMELLIA_CBC: "cbc(camellia)",
    EncrId.ENCR_CAST: "cbc(cast5)",
    EncrId.ENCR_DES: "cbc(des)",
    EncrId.ENCR_NULL: "ecb(cipher_null)",
}
HASHES = {
    IntegId.AUTH_AES_CMAC_96: ("cmac(aes)", 96),
    IntegId.AUTH_AES_XCBC_96: ("xcbc(aes)", 96),
    IntegId.AUTH_HMAC_MD5_96: ("hmac(md5)", 96),
    IntegId.AUTH_HMAC_SHA1_96: ("hmac(sha1)", 96),
    IntegId.AUTH_HMAC_SHA2_256_128: ("hmac(sha256)", 128),
    IntegId.AUTH_HMAC_SHA2_384_192: ("hmac(sha384)", 192),
    IntegId.AUTH_HMAC_SHA2_512_256: ("hmac(sha512)", 256),
    IntegId.PRIVATE_HMAC_RIPEMD_160_96: ("hmac(rmd160)", 96),
}
"""Names of Linux, and the length of the ICV in bits."""

NO_ORIGINAL_ADDRESS = "0.0.0.0"


def algorithms(protocol: SecurityProtocol, suite: EspSuite, keys: EspKeys) -> str:
    """Return the words for a suite with its keys."""
    encryption, integrity = (key.reveal().hex() for key in (keys.encryption, keys.integrity))
    if aead := AEADS.get(suite.encryption.id):
        name, icv_bits = aead
        return f"aead {name} 0x{encryption} {icv_bits}"
    words = []
    if protocol is SecurityProtocol.ESP:
        key = f"0x{encryption}" if encryption else '""'
        words.append(f"enc {CIPHERS[suite.encryption.id]} {key}")
    if suite.integrity is not IntegId.NONE:
        name, icv_bits = HASHES[suite.integrity]
        words.append(f"auth-trunc {name} 0x{integrity} {icv_bits}")
    return " ".join(words)


def network(selectors: tuple[TrafficSelector, ...]) -> str:
    """Return the one network that is selected."""
    [selector] = selectors
    [only] = selector.networks
    return str(only)


def ends(entry: SadEntry) -> tuple[Endpoint, Endpoint]:
    """Return the ends of an SA: where its packets come from, where they go."""
    ours, theirs = entry.path.local, entry.path.remote
    return (ours, theirs) if entry.direction is Direction.OUTBOUND else (theirs, ours)


def inner(entry: SadEntry) -> str:
    """Return what an SA is for."""
    src, dst = network(entry.local), network(entry.remote)
    if entry.direction is Direction.INBOUND:
        src, dst = dst, src
    return f"src {src} dst {dst}"


def name(entry: SadEntry, protocol: str = "") -> str:
    """Return protocol and addresses of an SA."""
    src, dst = ends(entry)
    return f"src {src.address} dst {dst.address} proto {protocol or entry.protocol.name.lower()}"


def form(entry: SadEntry) -> str:
    """Return what ties an SA to its template."""
    return f"reqid {int(entry.spi)} mode {entry.processing.mode.value}"


def state(entry: SadEntry, *, window_packets: int = 64) -> str:
    """Return what gives the kernel the other end of an SA.

    Args:
        entry: The SA as we have it.
        window_packets: The kernel's replay window.
    """
    src, dst = ends(entry)
    options = [f"replay-window {window_packets}"]
    if entry.suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64:
        options.append(f"flag esn {numbers(entry)}")
    if entry.protocol is SecurityProtocol.AH and src.address.version == 4:
        # Linux pads its ICV to 64 bits over IPv4 too, where 32 are meant (RFC 4302, section 3.3.3.2.1)
        options.append("flag align4")
    options.append(algorithms(entry.protocol, entry.suite, entry.keys))
    if entry.encapsulation is Encapsulation.UDP:
        options.append(
            f"encap espinudp {src.port} {dst.port} {'::' if src.address.version == 6 else '0.0.0.0'}"
        )
    return f"xfrm state add {name(entry)} spi {int(entry.spi):#x} {form(entry)} {' '.join(options)}"


def numbers(entry: SadEntry) -> str:
    """Return which sequence numbers of 64 bits were used: sent by the kernel, or received."""
    high, low = divmod(entry.sequence.used, 1 << 32)
    used = "oseq" if entry.direction is Direction.INBOUND else "seq"
    return f"replay-{used} {low:#x} replay-{used}-hi {high:#x}" if high or low else ""


def compressed(entry: SadEntry) -> list[str]:
    """Return what gives the kernel the other end of an SA with IPComp in it, which are two SAs there.

    A packet that compression would make longer is not compressed, so what comes in need not be.
    """
    comp, esp = name(entry, "comp"), replace(entry, processing=Processing(mode=Mode.TRANSPORT))
    cpi = f"{entry.processing.compression:#x}"
    policy, level = ("in", "use") if entry.direction is Direction.OUTBOUND else ("out", "required")
    templates = f"tmpl {comp} {form(entry)} level {level} tmpl {name(esp)} {form(esp)}"
    return [
        f"xfrm state add {comp} spi {cpi} {form(entry)} comp deflate sel {inner(entry)}",
        f"{state(esp)} flag af-unspec",
        f"xfrm policy add {inner(entry)} dir {policy} priority 2 {templates}",
    ]


def bundle(entries: Sequence[SadEntry]) -> list[str]:
    """Return what gives the kernel the other end of SAs that are within each other, and policies for them.

    Args:
        entries: SAs of one direction as we have them, the innermost first.
    """
    first = entries[0]
    if first.processing.compression is not None:
        return compressed(first)
    templates = " ".join(f"tmpl {name(entry)} {form(entry)}" for entry in entries)
    policies = ("in", "fwd") if first.direction is Direction.OUTBOUND else ("out",)
    return [
        f"{state(first)} sel {inner(first)}",
        *(f"{state(entry)} flag af-unspec" for entry in entries[1:]),  # or it takes its own family only
        *(f"xfrm policy add {inner(first)} dir {policy} priority 2 {templates}" for policy in policies),
        *(bypass(entry) for entry in entries if entry.encapsulation is Encapsulation.UDP),
    ]


def bypass(entry: SadEntry) -> str:
    """Return a policy that lets UDP with ESP in it come in, which transport mode's policy may cover too."""
    src, dst = ends(entry)
    # By its number: a bare system has no /etc/protocols.
    ports = f"proto 17 sport {src.port} dport {dst.port}"
    return f"xfrm policy add src {src.address} dst {dst.address} {ports} dir in priority 1 action allow"


@dataclass(frozen=True, slots=True)
class Counters:
    """What the kernel counted since the SAs were added."""

    packets: dict[int, int]
    """Packets of each SA, by SPI."""

    failures: dict[str, int]
    """Whatever went wrong: counters of /proc/net/xfrm_stat and of the SAs that are not 0."""


SHOW = "ip -s xfrm state; cat /proc/net/xfrm_stat"
"""Prints what `counters` reads."""


def counters(text: str) -> Counters:
    """Read what `SHOW` printed."""
    packets, failures = {}, {}
    for state in re.split(r"^(?=src )", text, flags=re.MULTILINE)[1:]:
        spi = int(re.search(r"spi 0x([0-9a-f]+)", state)[1], 16)
        packets[spi] = int(re.search(r"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)", state)[1])
        for name, value in re.findall(r"(replay-window|replay|failed) (\d+)", state.rpartition("stats:")[2]):
            failures[f"{spi:#x} {name}"] = int(value)
    failures.update(
        (name, int(value)) for name, value in re.findall(r"^(Xfrm\w+)\s+(\d+)$", text, re.MULTILINE)
    )
    return Counters(packets, {name: value for name, value in failures.items() if value})
