"""The PAD finds by index what a look at each entry finds."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from exchanges.settings import left
from perilune.databases.pad import ANY_IPV4, AddressRange, Host, HostName, PadEntry, SharedSecret
from perilune.ike.peer_lookup import Pad
from perilune.model.address import Endpoint, Path
from perilune.model.identity import Identity
from perilune.model.identity_pattern import parse_pattern
from perilune.model.secret import Secret

ADDRESSES = [IPv4Address(f"192.0.2.{last}") for last in range(4)]
IDENTITIES = [
    Identity.parse(text)
    for text in ("a.example", "A.example", "b.example", "me@a.example", "192.0.2.1", "@#0a0b", "C=US, O=a")
]
PATTERNS = [parse_pattern(text) for text in ("*.example", "*@a.example", "192.0.2.0/30", "C=US, *")]

addresses = st.sampled_from(ADDRESSES)
identities = st.sampled_from(IDENTITIES)
names = st.sampled_from([*IDENTITIES, *(pattern for pattern in PATTERNS if pattern)])


@st.composite
def hosts(draw: st.DrawFn) -> tuple[Host, ...]:
    ranges = st.tuples(addresses, addresses).map(lambda pair: AddressRange(min(pair), max(pair)))
    single = addresses.map(lambda one: AddressRange(one, one))
    one = st.one_of(single, ranges, st.just(ANY_IPV4), st.just(HostName("gw.example")))
    return tuple(draw(st.lists(one, min_size=1, max_size=2)))


@st.composite
def entries(draw: st.DrawFn) -> list[PadEntry]:
    return [
        left(
            name=f"c{number}",
            local_addrs=draw(hosts()),
            remote_addrs=draw(hosts()),
            remote_id=draw(st.none() | names),
            order=draw(st.integers(0, 1)),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


def width(several: tuple[Host, ...], address: IPv4Address) -> int | None:
    fitting = [
        (int(one.last) - int(one.first)).bit_length() if isinstance(one, AddressRange) else 129
        for one in several
        if not isinstance(one, AddressRange) or one.contains(address)
    ]
    return min(fitting, default=None)


@given(entries(), addresses, addresses, identities)
def test_entries_are_those_that_a_look_at_each_finds(
    several: list[PadEntry], local: IPv4Address, remote: IPv4Address, identity: Identity
) -> None:
    candidates = Pad(several).candidates(Path(Endpoint(local, 500), Endpoint(remote, 500)))
    found = scan_in_order(several, local, remote)
    assert [entry.name for entry in candidates] == [entry.name for entry in found]
    accepting = [entry.name for entry in found if entry.accepts(identity)]
    assert [entry.name for entry in candidates.accepting(identity)] == accepting
    offers = {entry.proposals for entry in found}
    assert {entry.proposals for entry in candidates.offers()} == offers


def scan_in_order(several: list[PadEntry], local: IPv4Address, remote: IPv4Address) -> list[PadEntry]:
    fitting: list[tuple[int, int, int, int]] = []
    for number, entry in enumerate(several):
        far, near = width(entry.remote_addrs, remote), width(entry.local_addrs, local)
        if far is not None and near is not None:
            fitting.append((entry.order, far, near, number))
    return [several[number] for *_, number in sorted(fitting)]


@given(st.lists(st.lists(names, max_size=3), max_size=8), identities, identities)
def test_secret_is_the_first_of_those_that_fit_best(
    owners: list[list[Identity]], local: Identity, remote: Identity
) -> None:
    secrets = [
        SharedSecret(Secret(b"x"), tuple(several), f"ike-{number}") for number, several in enumerate(owners)
    ]
    best = max(secrets, key=lambda secret: secret.fits(local, remote), default=None)
    wanted = best if best and best.fits(local, remote) else None
    found = Pad((), secrets).find_secret(local, remote)
    assert (found and found.name) == (wanted and wanted.name)
