"""Finding the PAD entry of a peer and the secret it proves itself with (RFC 4301, section 4.4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from perilune.databases.pad import AddressRange, Host, PadEntry, SharedSecret
from perilune.model.address import IpAddress, Path
from perilune.model.errors import PeerError
from perilune.model.iana import NotifyType
from perilune.model.identity import Identity
from perilune.model.secret import Secret

_UNRESOLVED_WIDTH: Final = 129
"""A host name may stand for any address, so it fits worse than any range."""


@dataclass(frozen=True, slots=True)
class Pad:
    """The entries and secrets that are in force, in the order of the configuration."""

    entries: tuple[PadEntry, ...] = ()
    secrets: tuple[SharedSecret, ...] = ()

    def entry(self, name: str) -> PadEntry | None:
        """Return the entry with a name."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def entries_for(self, path: Path) -> list[PadEntry]:
        """Return the entries whose addresses fit a path, those that name it most exactly first."""
        ranked = [(_width(entry, path), entry) for entry in self.entries]
        fitting = [(width, entry) for width, entry in ranked if width is not None]
        return [entry for _, entry in sorted(fitting, key=lambda pair: pair[0])]

    def entry_of(
        self, entries: Sequence[PadEntry], remote: Identity, asked: Identity | None, path: Path
    ) -> PadEntry:
        """Return the entry of a peer that says who it is.

        Args:
            entries: Those that fit its address, best first.
            remote: Who the peer says it is.
            asked: Whom the peer wants to talk to, if it says so.
            path: The way of its message; our end is our identity where an entry has none.

        Raises:
            PeerError: There is none; the notify is AUTHENTICATION_FAILED.
        """
        known = [entry for entry in entries if entry.remote_id in {None, remote}]
        if not known:
            names = ", ".join(f"{entry.name} wants '{entry.remote_id}'" for entry in entries)
            raise PeerError(f"no connection for '{remote}': {names}", notify=NotifyType.AUTHENTICATION_FAILED)
        wanted = [entry for entry in known if asked in {None, local_identity(entry, path)}]
        if not wanted:
            names = ", ".join(f"{entry.name} is '{local_identity(entry, path)}'" for entry in known)
            raise PeerError(f"the peer asks for '{asked}': {names}", notify=NotifyType.AUTHENTICATION_FAILED)
        return min(wanted, key=lambda entry: entry.remote_id is None)

    def secret(self, local: Identity, remote: Identity) -> Secret:
        """Return the pre-shared key that fits a pair of identities best.

        Raises:
            PeerError: None does; the notify is AUTHENTICATION_FAILED.
        """
        best = max(self.secrets, key=lambda secret: secret.fits(local, remote), default=None)
        if best is None or not best.fits(local, remote):
            raise PeerError(
                f"no secret for '{local}' and '{remote}'", notify=NotifyType.AUTHENTICATION_FAILED
            )
        return best.secret


def local_identity(entry: PadEntry, path: Path) -> Identity:
    """Return who we are in a connection."""
    return entry.local_id or Identity.of_address(path.local.address)


def _width(entry: PadEntry, path: Path) -> tuple[int, int] | None:
    """Return how exactly an entry names the two ends of a path, or None where it does not."""
    remote = _host_width(entry.remote_addrs, path.remote.address)
    local = _host_width(entry.local_addrs, path.local.address)
    return None if remote is None or local is None else (remote, local)


def _host_width(hosts: Sequence[Host], address: IpAddress) -> int | None:
    return min((width for host in hosts if (width := _width_of_one(host, address)) is not None), default=None)


def _width_of_one(host: Host, address: IpAddress) -> int | None:
    if not isinstance(host, AddressRange):
        return _UNRESOLVED_WIDTH
    return (int(host.last) - int(host.first)).bit_length() if host.contains(address) else None
