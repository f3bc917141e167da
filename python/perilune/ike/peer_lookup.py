"""Finding the PAD entry of a peer and the secret that may prove who it is (RFC 4301, section 4.4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from perilune.databases.pad import ANY_SECTION, PadEntry, SharedSecret
from perilune.databases.proof import NoProof, SharedKey, is_proof_of
from perilune.ike.pad_index import Candidates, IdentityIndex, PathIndex
from perilune.ike.refusal import NotAuthentic
from perilune.model.address import Path
from perilune.model.iana import AuthMethod
from perilune.model.identity import NOBODY, Identity
from perilune.model.identity_pattern import same_identity

_SHOWN: Final = 8
"""How many connections a message names."""


class Pad:
    """The entries and secrets that are in force, in the order of the configuration."""

    def __init__(self, entries: Sequence[PadEntry] = (), secrets: Sequence[SharedSecret] = ()) -> None:
        self.entries: Final = tuple(entries)
        self._by_name: Final = {entry.name: entry for entry in entries}
        self._by_path: Final = PathIndex(entries)
        self._secrets: Final = tuple(secrets)
        self._by_owner: Final = IdentityIndex((secret, secret.owners) for secret in secrets)

    def entry(self, name: str) -> PadEntry | None:
        """Return the entry with a name."""
        return self._by_name.get(name)

    def candidates(self, path: Path) -> Candidates:
        """Return the entries whose addresses fit a path, those that name it most exactly first."""
        return self._by_path.candidates(path)

    def entry_of(
        self,
        candidates: Candidates,
        remote: Identity,
        asked: Identity | None,
        path: Path,
        method: int | None,
    ) -> PadEntry:
        """Return the entry of a peer that says who it is, and how it proves that.

        Of several entries that name it alike, one that asks for such a proof comes first. An entry that asks
        for none is for those alone who give none, and they for it (RFC 7619, section 2.4).

        Args:
            candidates: The entries that fit its address.
            remote: Who the peer says it is.
            asked: Whom the peer wants to talk to, if it says so.
            path: The way of its message; our end is our identity where an entry has none.
            method: Its Auth Method; None for EAP.

        Raises:
            NotAuthentic: There is none.
        """
        known = [entry for entry in candidates.accepting(remote) if _is_for(entry, method)]
        if not known:
            near = list(candidates)
            if method == AuthMethod.NULL:
                why = "the peer proves nothing, and no connection has 'auth = null' for it"
                raise NotAuthentic(why, f"{_only(near)}.remote.auth")
            names = _few(f"{entry.name} wants '{entry.remote_id}'" for entry in near)
            raise NotAuthentic(f"no connection for '{remote}': {names}", f"{_only(near)}.remote.id")
        wanted = [
            entry for entry in known if asked is None or same_identity(asked, local_identity(entry, path))
        ]
        if not wanted:
            names = _few(f"{entry.name} is '{local_identity(entry, path)}'" for entry in known)
            raise NotAuthentic(f"the peer asks for '{asked}': {names}", f"{_only(known)}.local.id")
        return min(wanted, key=lambda entry: (entry.order, _generality(entry), not _fits(entry, method)))

    def secret(self, local: Identity, remote: Identity) -> SharedSecret:
        """Return the pre-shared key that fits a pair of identities best.

        Raises:
            NotAuthentic: None does.
        """
        found = self.find_secret(local, remote)
        if found is None:
            raise NotAuthentic(f"no secret for '{local}' and '{remote}'", f"secrets.{ANY_SECTION}.id")
        return found

    def secret_for(self, entry: PadEntry, local: Identity, path: Path) -> SharedSecret:
        """Return the pre-shared key to prove ourselves with to a peer that has not said yet who it is.

        Where the entry is for a group, that is the group's; where it is for anybody, that of the address.

        Raises:
            NotAuthentic: There is none.
        """
        if entry.remote_id is not None and entry.definite_remote_id is None:
            for secret in self._secrets:
                if entry.remote_id in secret.owners:
                    return secret
        remote = entry.definite_remote_id or Identity.of_address(path.remote.address)
        return self.secret(local, remote)

    def find_secret(self, local: Identity, remote: Identity) -> SharedSecret | None:
        """Return the same, or None where none fits."""
        near = self._by_owner.near(local, remote)
        best = max(near, key=lambda secret: secret.fits(local, remote), default=None)
        return best if best and best.fits(local, remote) else None


def key_of(entry: PadEntry) -> str:
    """Return the section of a connection in the configuration, for messages."""
    return f"connections.{entry.name}"


def hint_for_us(entry: PadEntry, shared: SharedSecret | None) -> str:
    """Return the keys of the configuration to look at where the peer does not believe us."""
    if not isinstance(entry.local_proof, SharedKey):
        return f"{key_of(entry)}.local"
    return f"{key_of(entry)}.local.id and {shared.key if shared else f'secrets.{ANY_SECTION}'}.secret"


def _is_for(entry: PadEntry, method: int | None) -> bool:
    return (method == AuthMethod.NULL) == isinstance(entry.remote_proof, NoProof)


def _fits(entry: PadEntry, method: int | None) -> bool:
    return method is not None and is_proof_of(entry.remote_proof, method)


def _generality(entry: PadEntry) -> int:
    """Return how many identities an entry accepts: one, a group, or any."""
    if entry.remote_id is None:
        return 2
    return 0 if entry.definite_remote_id is not None else 1


def _only(entries: Sequence[PadEntry]) -> str:
    return key_of(entries[0]) if len(entries) == 1 else "connections.*"


def local_identity(entry: PadEntry, path: Path) -> Identity:
    """Return who we are in a connection."""
    if entry.local_id is None and isinstance(entry.local_proof, NoProof):
        return NOBODY
    return entry.local_id or Identity.of_address(path.local.address)


def _few(texts: Iterable[str]) -> str:
    """Return some of what may be very many."""
    all_texts = list(texts)
    shown, more = all_texts[:_SHOWN], len(all_texts) - _SHOWN
    return ", ".join([*shown, f"and {more} more"] if more > 0 else shown)
