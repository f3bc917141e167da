"""Keys of `connections.<conn>` and of its authentication rounds."""

from __future__ import annotations

from perilune.config.authentication import AUTHENTICATION, Authentication
from perilune.config.hosts import ADDRESS_RANGES, HOSTS
from perilune.config.identities import IDENTITY, PEER
from perilune.config.proposals import IKE_PROPOSALS
from perilune.config.schema.child import CHILDREN
from perilune.config.schema.section import (
    NO_TIME,
    OFF,
    Key,
    OptionalKey,
    SectionSchema,
    UnsupportedKey,
)
from perilune.config.shared_secrets import FILE_NAME
from perilune.config.values import PORT, TIME, YES_NO, choice, list_of, number
from perilune.databases.pad import AddressRange, Fragmentation, Host
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern
from perilune.model.proposal import Proposal
from perilune.model.time import Duration

VERSION = Key(
    "version",
    choice({"2": 2, "0": 0}),
    "0",
    "Version of IKE. There is only IKEv2, so both values mean the same.",
)
LOCAL_ADDRS: Key[tuple[Host, ...]] = Key(
    "local_addrs",
    HOSTS,
    "%any",
    "Our end. The first single address is where a connection is begun from; a peer must have asked for one"
    " of them.",
)
REMOTE_ADDRS: Key[tuple[Host, ...]] = Key(
    "remote_addrs",
    HOSTS,
    "%any",
    "The peer's end. The first name or single address is where a connection is begun to; a peer that begins"
    " it must come from one of them.",
)
LOCAL_PORT: OptionalKey[int] = OptionalKey(
    "local_port", PORT, "`daemon.port`", "Our UDP port: `daemon.port` or `daemon.port_nat_t`."
)
REMOTE_PORT: Key[int] = Key("remote_port", PORT, "500", "The peer's UDP port.")
PROPOSALS: Key[tuple[Proposal, ...]] = Key(
    "proposals", IKE_PROPOSALS, "default", "Algorithms of the IKE SA, best first; see *Proposals*."
)
ALLOW_INSECURE: Key[bool] = Key(
    "allow_insecure",
    YES_NO,
    "no",
    "Whether `proposals` may have algorithms that are for old peers only; see *Proposals*. The log warns of"
    " them.",
)
ENCAP: Key[bool] = Key(
    "encap", YES_NO, "no", "Pretend a NAT, so that ESP travels in UDP even where there is none."
)
FRAGMENTATION: Key[Fragmentation] = Key(
    "fragmentation",
    choice({value.value: value for value in Fragmentation}, {"1": Fragmentation.YES, "0": Fragmentation.NO}),
    "yes",
    "IKE fragmentation (RFC 7383): `accept` reads fragments and sends none; `force` is `yes` in IKEv2.",
)
DPD_DELAY: Key[Duration] = Key(
    "dpd_delay", TIME, "0s", "Silence after which the peer is asked whether it lives; `0` never asks."
)
DPD_TIMEOUT: Key[Duration] = Key(
    "dpd_timeout", TIME, "0s", "No effect in IKEv2, where the retransmissions of a request decide."
)
REKEY_TIME: Key[Duration] = Key("rekey_time", TIME, "4h", "Age at which the IKE SA is rekeyed; `0` never.")
OVER_TIME: OptionalKey[Duration] = OptionalKey(
    "over_time", TIME, "10% of `rekey_time`", "How long after that an IKE SA that was not rekeyed ends."
)
RAND_TIME: OptionalKey[Duration] = OptionalKey(
    "rand_time",
    TIME,
    "`over_time`, at most half of `rekey_time`",
    "Up to so much is taken from `rekey_time`, at random.",
)
KEYINGTRIES: Key[int] = Key(
    "keyingtries",
    number(0, 1_000_000),
    "1",
    "How often a set-up is tried before it fails; `0` never gives up.",
)
SEND_CERT: Key[str] = Key(
    "send_cert",
    choice({name: name for name in ("ifasked", "always", "never")}),
    "ifasked",
    "No effect without certificates.",
)
SEND_CERTREQ: Key[bool] = Key("send_certreq", YES_NO, "yes", "No effect without certificates.")
PULL: Key[bool] = Key("pull", YES_NO, "yes", "No effect in IKEv2.")

AUTH: OptionalKey[Authentication] = OptionalKey(
    "auth",
    AUTHENTICATION,
    "`pubkey` with `pubkeys`, else an error",
    "How this end proves who it is; see *Authentication*. It must be said where there are no `pubkeys`, for"
    " in swanctl.conf certificates are the default.",
)
LOCAL_PUBKEYS: OptionalKey[tuple[str, ...]] = OptionalKey(
    "pubkeys",
    list_of(FILE_NAME),
    "none",
    "File of our public key, in the directory `pubkey` beside the configuration or at an absolute path. Its"
    " private key is looked for in `private`, `rsa`, `ecdsa` and `pkcs8`.",
)
REMOTE_PUBKEYS: OptionalKey[tuple[str, ...]] = OptionalKey(
    "pubkeys", list_of(FILE_NAME), "none", "Files of the public keys of which the peer must have one."
)
LOCAL_ID: OptionalKey[Identity] = OptionalKey(
    "id", IDENTITY, "our address; nobody with `auth = null`", "Who we say we are."
)
REMOTE_ID: OptionalKey[Identity | IdentityPattern | None] = OptionalKey(
    "id",
    PEER,
    "`%any`",
    "Who the peer must be; `%any` takes everyone who has a secret, or one of the keys. See *Identities*.",
)
CLAIMS: Key[tuple[AddressRange, ...]] = Key(
    "claims",
    ADDRESS_RANGES,
    "any",
    "Addresses that the peer may have at its end of a child, whatever the child allows (RFC 4301, section"
    " 4.4.3.3). swanctl.conf has no such key.",
)
ORDER: Key[int] = Key(
    "order",
    number(0, 1_000_000),
    "0",
    "Place in the PAD: a peer's entry is looked for among smaller ones first; among equals the one that names"
    " its addresses and its identity most exactly is taken. swanctl.conf has no such key.",
)
ROUND: Key[int] = Key("round", number(0, 1000), "0", "No effect with one round.")

_ROUND_UNSUPPORTED = tuple(
    map(UnsupportedKey, ("certs", "eap_id", "aaa_id", "xauth_id", "groups", "cert_policy"))
)

LOCAL = SectionSchema(
    "local<suffix>",
    "How we prove who we are. There is one round of authentication, so one such section.",
    keys=(AUTH, LOCAL_PUBKEYS, LOCAL_ID, ROUND),
    unsupported_keys=_ROUND_UNSUPPORTED,
    unsupported_sections=("cert<suffix>",),
)
REMOTE = SectionSchema(
    "remote<suffix>",
    "How the peer proves who it is; one such section too.",
    keys=(AUTH, REMOTE_PUBKEYS, REMOTE_ID, CLAIMS, ROUND),
    unsupported_keys=(
        *_ROUND_UNSUPPORTED,
        UnsupportedKey("cacerts"),
        UnsupportedKey("ca_id"),
        UnsupportedKey("revocation", ("relaxed",)),
    ),
    unsupported_sections=("cert<suffix>", "cacert<suffix>"),
)
CONNECTION = SectionSchema(
    "<conn>",
    "A connection: how a peer is found, how both ends prove who they are, what may pass. Its name is free.",
    keys=(
        VERSION,
        ORDER,
        LOCAL_ADDRS,
        REMOTE_ADDRS,
        LOCAL_PORT,
        REMOTE_PORT,
        PROPOSALS,
        ALLOW_INSECURE,
        ENCAP,
        FRAGMENTATION,
        DPD_DELAY,
        DPD_TIMEOUT,
        REKEY_TIME,
        OVER_TIME,
        RAND_TIME,
        KEYINGTRIES,
        SEND_CERT,
        SEND_CERTREQ,
        PULL,
    ),
    unsupported_keys=(
        UnsupportedKey("aggressive", OFF),
        UnsupportedKey("childless", ("allow", "never")),
        UnsupportedKey("dscp", ("000000", "0")),
        UnsupportedKey("if_id_in", ("0",)),
        UnsupportedKey("if_id_out", ("0",)),
        UnsupportedKey("mediated_by"),
        UnsupportedKey("mediation", OFF),
        UnsupportedKey("mediation_peer"),
        UnsupportedKey("mobike", OFF),
        UnsupportedKey("pools"),
        UnsupportedKey("ppk_id"),
        UnsupportedKey("ppk_required", OFF),
        UnsupportedKey("reauth_time", NO_TIME),
        UnsupportedKey("unique", ("no",)),
        UnsupportedKey("vips"),
    ),
    sections=(LOCAL, REMOTE, CHILDREN),
)
CONNECTIONS = SectionSchema(
    "connections", "Every connection, in the order in which a responder tries them.", sections=(CONNECTION,)
)
