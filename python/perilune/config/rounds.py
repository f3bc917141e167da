"""`local` and `remote` of a connection: who each end is, and how it proves that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from perilune.config.authentication import Authentication, Plain
from perilune.config.key_files import KeyFiles
from perilune.config.reader import Reader
from perilune.config.schema import child as child_keys
from perilune.config.schema import connection as keys
from perilune.config.schema.section import OptionalKey, SectionSchema
from perilune.crypto.keys import PublicKey
from perilune.crypto.signature_rules import ANY_SCHEME, Rules, schemes_for
from perilune.databases.pad import AddressRange, ChildPolicy, DynamicSelector
from perilune.databases.proof import KnownKeys, LocalProof, NoProof, OwnKey, RemoteProof, SharedKey
from perilune.databases.spd import Action
from perilune.model.errors import ConfigError
from perilune.model.iana import HashId
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern


@dataclass(frozen=True, slots=True)
class LocalRound:
    """Our end."""

    id: Identity | None = None
    proof: LocalProof = field(default_factory=SharedKey)


@dataclass(frozen=True, slots=True)
class RemoteRound:
    """The peer's end."""

    id: Identity | IdentityPattern | None = None
    proof: RemoteProof = field(default_factory=SharedKey)
    claims: tuple[AddressRange, ...] = ()


def read_local(connection: Reader, files: KeyFiles, *, needed: bool) -> LocalRound:
    """Return who we are in a connection; mistakes are noted.

    Args:
        connection: Its section.
        files: Where keys come from.
        needed: Whether it matters: not where nothing is to be protected.
    """
    reader = _only_round(connection, keys.LOCAL, "local", needed=needed)
    if reader is None:
        return LocalRound()
    auth = _authentication(reader, keys.LOCAL_PUBKEYS, needed=needed)
    identity = reader.find(keys.LOCAL_ID)
    match auth:
        case Plain.PSK:
            return LocalRound(identity)
        case Plain.NULL:
            reader.warn("we prove nothing to the peer (RFC 7619): it cannot know whom it talks to", keys.AUTH)
            return LocalRound(identity, NoProof())
    public = _public_keys(reader, keys.LOCAL_PUBKEYS, auth, files)
    if len(public) > 1:
        reader.warn("only the first public key is used", keys.LOCAL_PUBKEYS)
    for key in public[:1]:
        try:
            return LocalRound(identity, OwnKey(files.private_of(key), auth))
        except ConfigError as error:
            reader.error(error.message, keys.LOCAL_PUBKEYS)
    return LocalRound(identity)


def read_remote(connection: Reader, files: KeyFiles, *, needed: bool) -> RemoteRound:
    """Return who the peer of a connection is to be; see `read_local`."""
    reader = _only_round(connection, keys.REMOTE, "remote", needed=needed)
    if reader is None:
        return RemoteRound()
    auth = _authentication(reader, keys.REMOTE_PUBKEYS, needed=needed)
    identity, claims = reader.find(keys.REMOTE_ID), reader.get(keys.CLAIMS)
    match auth:
        case Plain.PSK:
            return RemoteRound(identity, SharedKey(), claims)
        case Plain.NULL:
            if identity is not None:
                reader.error("who proves nothing may say anything: 'id' has no place here", keys.REMOTE_ID)
            reader.warn("anybody may be this peer, which proves nothing (RFC 7619)", keys.AUTH)
            return RemoteRound(None, NoProof(), claims)
    public = _public_keys(reader, keys.REMOTE_PUBKEYS, auth, files)
    if identity is None:
        reader.warn("whoever has one of 'pubkeys' may give any name: 'id' says which one is wanted")
    return RemoteRound(identity, KnownKeys(public, auth) if public else SharedKey(), claims)


def check_anonymous(remote: RemoteRound, children: Sequence[ChildPolicy], readers: Iterable[Reader]) -> None:
    """Warn of children that give somebody who is not known more than his own address."""
    if not isinstance(remote.proof, NoProof):
        return
    for child, reader in zip(children, readers, strict=True):
        protects = child.action is Action.PROTECT
        if protects and not all(isinstance(selector, DynamicSelector) for selector in child.remote_ts):
            reader.warn(
                "anybody may take these addresses from whom they belong to; 'dynamic' is his own alone",
                child_keys.REMOTE_TS,
            )


def _only_round(connection: Reader, schema: SectionSchema, end: str, *, needed: bool) -> Reader | None:
    rounds = connection.sections(schema)
    if len(rounds) > 1:
        rounds[1].error("several rounds of authentication are not supported yet")
    elif not rounds and needed:
        connection.error(f"'{end} {{ auth = psk }}' is missing: without it certificates are meant")
    return rounds[0] if rounds else None


def _authentication(reader: Reader, pubkeys: OptionalKey[tuple[str, ...]], *, needed: bool) -> Authentication:
    auth = reader.find(keys.AUTH)
    has_keys = reader.has(pubkeys)
    if auth is None and not reader.has(keys.AUTH):
        if has_keys:
            return ANY_SCHEME
        if needed:
            reader.error("'auth = psk' is missing: without it certificates are meant")
    if isinstance(auth, Plain) and has_keys:
        reader.error(f"'auth = {auth.name.lower()}' makes no use of keys", pubkeys)
    if auth is None:
        return Plain.PSK
    if not isinstance(auth, Plain) and any(HashId.SHA1 in rule.hashes for rule in auth):
        reader.warn("SHA-1 is broken; it is for peers that know no RFC 7427", keys.AUTH)
    return auth


def _public_keys(
    reader: Reader, key: OptionalKey[tuple[str, ...]], rules: Rules, files: KeyFiles
) -> tuple[PublicKey, ...]:
    """Return the public keys that a section names, as far as they can be read and will do."""
    found: list[PublicKey] = []
    names = reader.find(key)
    if names is None and not reader.has(key):
        reader.error("'pubkeys' is missing: certificates are not supported yet")
    for name in names or ():
        try:
            public = files.public(name)
        except ConfigError as error:
            reader.error(error.message, key)
            continue
        if schemes_for(public, rules):
            found.append(public)
        else:
            reader.error(f"{name} is {public}, which 'auth' does not take", key)
    return tuple(found)
