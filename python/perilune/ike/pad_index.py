"""Finding entries of the PAD by address and by identity without asking each (RFC 4301, section 4.4.3)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Final, Generic, TypeVar

from perilune.databases.pad import AddressRange, Host, PadEntry
from perilune.databases.processing import Mode
from perilune.databases.proof import NoProof, RemoteProof
from perilune.ike.auth_methods import announcements
from perilune.model.address import IpAddress, Path
from perilune.model.iana import HashId
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern, spelling
from perilune.model.proposal import Proposal
from perilune.wire.auth_announcements import AuthAnnouncement

T = TypeVar("T")

_UNRESOLVED_WIDTH: Final = 129
"""A host name may stand for any address, so it fits worse than any range."""


class IdentityIndex(Generic[T]):
    """Values by the identities that they name.

    Args:
        named: Each value with its names; without any it is for everyone.
    """

    def __init__(self, named: Iterable[tuple[T, Sequence[Identity | IdentityPattern]]]) -> None:
        self._values: list[T] = []
        self._exact: dict[tuple[int, bytes], list[int]] = {}
        self._others: list[int] = []
        for number, (value, names) in enumerate(named):
            self._values.append(value)
            spellings = [spelling(name) if isinstance(name, Identity) else None for name in names]
            if not spellings or None in spellings:
                self._others.append(number)
            for one in spellings:
                if one is not None:
                    self._exact.setdefault(one, []).append(number)

    def near(self, *identities: Identity) -> list[T]:
        """Return, in order, the values that may name one of some identities; no other does."""
        numbers = set(self._others)
        for identity in identities:
            one = spelling(identity)
            if one is not None:
                numbers.update(self._exact.get(one, ()))
        return [self._values[number] for number in sorted(numbers)]


Numbered = tuple[int, PadEntry]
"""An entry with its place in the configuration."""


class _Group:
    """Entries between the same addresses."""

    def __init__(self, order: int, local: tuple[Host, ...], remote: tuple[Host, ...]) -> None:
        self._order: Final = order
        self._local: Final = local
        self._remote: Final = remote
        self.entries: Final[list[Numbered]] = []

    @cached_property
    def index(self) -> IdentityIndex[Numbered]:
        """Its entries by the identity of the peer; asked for when all are there."""
        return IdentityIndex((numbered, _names(numbered[1])) for numbered in self.entries)

    @cached_property
    def offers(self) -> list[Numbered]:
        """The first of its entries with each list of proposals."""
        first: dict[tuple[Proposal, ...], Numbered] = {}
        for numbered in self.entries:
            first.setdefault(numbered[1].proposals, numbered)
        return list(first.values())

    @cached_property
    def modes(self) -> frozenset[Mode]:
        """Modes of the children of its entries."""
        return frozenset(mode for _, entry in self.entries for mode in entry.modes)

    @cached_property
    def signature_hashes(self) -> frozenset[HashId]:
        """Hashes to announce for signatures of its entries."""
        return frozenset(hash_ for _, entry in self.entries for hash_ in entry.signature_hashes)

    @cached_property
    def announcements(self) -> dict[bool, tuple[AuthAnnouncement, ...]]:
        """What its entries take from peers, each once: without and with RFC 7427."""
        proofs = tuple(dict.fromkeys(entry.remote_proof for _, entry in self.entries))
        return {known: _of_proofs(proofs, digital_signature=known) for known in (False, True)}

    @property
    def only_host(self) -> IpAddress | None:
        """The one address at the other end, if there is only one."""
        match self._remote:
            case [AddressRange(first, last)] if first == last:
                return first
        return None

    def rank(self, path: Path) -> tuple[int, int, int] | None:
        """Return when the group is tried for a path, smaller first, or None where it does not fit."""
        remote = _host_width(self._remote, path.remote.address)
        local = _host_width(self._local, path.local.address)
        return None if remote is None or local is None else (self._order, remote, local)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The entries whose addresses fit a path, those that name it most exactly first."""

    ranks: tuple[tuple[_Group, ...], ...] = ()
    """Groups of entries, those of one rank together."""

    def __iter__(self) -> Iterator[PadEntry]:
        for groups in self.ranks:
            yield from _in_order(group.entries for group in groups)

    def offers(self) -> Iterator[PadEntry]:
        """Yield the first entries with each list of proposals: no other one allows more."""
        for groups in self.ranks:
            yield from _in_order(group.offers for group in groups)

    @property
    def modes(self) -> frozenset[Mode]:
        """Modes of the children of all of them."""
        return frozenset(mode for groups in self.ranks for group in groups for mode in group.modes)

    @property
    def signature_hashes(self) -> frozenset[HashId]:
        """Hashes to announce for signatures of all of them."""
        return frozenset(
            hash_ for groups in self.ranks for group in groups for hash_ in group.signature_hashes
        )

    def announcements(self, *, digital_signature: bool) -> Iterator[AuthAnnouncement]:
        """Yield what they take from peers; see `perilune.ike.auth_methods.announcements`."""
        for groups in self.ranks:
            for group in groups:
                yield from group.announcements[digital_signature]

    def accepting(self, remote: Identity) -> list[PadEntry]:
        """Return those that accept an identity."""
        return [
            entry
            for groups in self.ranks
            for entry in _in_order(group.index.near(remote) for group in groups)
            if entry.accepts(remote)
        ]


class PathIndex:
    """Entries by the addresses that they are between.

    Args:
        entries: In the order of the configuration.
    """

    def __init__(self, entries: Iterable[PadEntry] = ()) -> None:
        groups: dict[tuple[int, tuple[Host, ...], tuple[Host, ...]], _Group] = {}
        for number, entry in enumerate(entries):
            key = (entry.order, entry.local_addrs, entry.remote_addrs)
            groups.setdefault(key, _Group(*key)).entries.append((number, entry))
        self._of_host: dict[IpAddress, list[_Group]] = {}
        self._of_many: list[_Group] = []
        for group in groups.values():
            host = group.only_host
            (self._of_many if host is None else self._of_host.setdefault(host, [])).append(group)

    def candidates(self, path: Path) -> Candidates:
        """Return the entries that fit a path."""
        ranked: dict[tuple[int, int, int], list[_Group]] = {}
        for group in (*self._of_host.get(path.remote.address, ()), *self._of_many):
            rank = group.rank(path)
            if rank is not None:
                ranked.setdefault(rank, []).append(group)
        return Candidates(tuple(tuple(ranked[rank]) for rank in sorted(ranked)))


def _in_order(several: Iterable[list[Numbered]]) -> Iterator[PadEntry]:
    return (entry for _, entry in heapq.merge(*several, key=itemgetter(0)))


def _of_proofs(proofs: Iterable[RemoteProof], *, digital_signature: bool) -> tuple[AuthAnnouncement, ...]:
    found = (one for proof in proofs for one in announcements(proof, digital_signature=digital_signature))
    return tuple(dict.fromkeys(found))


def _names(entry: PadEntry) -> tuple[Identity | IdentityPattern, ...]:
    if entry.remote_id is None or isinstance(entry.remote_proof, NoProof):
        return ()
    return (entry.remote_id,)


def _host_width(hosts: Sequence[Host], address: IpAddress) -> int | None:
    return min((width for host in hosts if (width := _width_of_one(host, address)) is not None), default=None)


def _width_of_one(host: Host, address: IpAddress) -> int | None:
    if not isinstance(host, AddressRange):
        return _UNRESOLVED_WIDTH
    return (int(host.last) - int(host.first)).bit_length() if host.contains(address) else None
