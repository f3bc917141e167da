"""What must hold, what was measured, and whether it holds.

Limits are those that the project set itself. A requirement whose figures are not there (a peer that is not
installed, a row that was not asked for) has no verdict. Nothing here is a test: a busy machine may miss a
limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import rows
from benchmarks.ike.pair import OURS
from benchmarks.results import Results


@dataclass(frozen=True, slots=True)
class Verdict:
    """One requirement."""

    topic: str
    requirement: str
    limit: float
    measured: float
    at_most: bool = True
    """Whether the limit is the most or the least that there may be."""

    @property
    def holds(self) -> bool:
        """Whether what was measured is within the limit."""
        return self.measured <= self.limit if self.at_most else self.measured >= self.limit

    @property
    def share(self) -> float:
        """What was measured, in limits."""
        return self.measured / self.limit if self.limit else self.measured


def verdicts(results: Results) -> list[Verdict]:
    """All that can be given."""
    made = (*_throughput(results), *_small(results), *_memory(results), *_scale(results), *_ike(results))
    return list(made)


def _throughput(results: Results) -> Iterator[Verdict]:
    ours, wire = results.median(rows.OURS, "tcp.cpu"), results.median(rows.OURS, "wire.cpu")
    if ours:
        yield Verdict("throughput", "CPU s/GB", 1.6, ours)
        yield from _against_peers(results, ours)
    if wire:
        yield Verdict("throughput", "CPU s/GB with no frame over the MTU", 2.5, wire)
        if (chacha_wire := results.median(rows.OURS_CHACHA, "wire.cpu")) is not None:
            name = "ChaCha20-Poly1305 to AES-256-GCM, no frame over the MTU"
            yield Verdict("throughput", name, 1.6, chacha_wire / wire)
    speed_up = results.median(rows.OURS, "speed_up")
    if speed_up is not None:
        yield Verdict("cores", "two cores to one, eight connections", 1.7, speed_up, at_most=False)


def _against_peers(results: Results, ours: float) -> Iterator[Verdict]:
    newer = results.median(rows.WIREGUARD_GO_NEWER, "tcp.cpu")
    least = [("strongSwan", rows.STRONGSWAN, 12.0)]
    least.append(
        ("wireguard-go with GSO and GRO", rows.WIREGUARD_GO_NEWER, 4.4)
        if newer
        else ("wireguard-go", rows.WIREGUARD_GO, 15.0)
    )
    for name, row, limit in least:
        if theirs := results.median(row, "tcp.cpu"):
            yield Verdict("throughput", f"CPU s/GB of {name} to ours", limit, theirs / ours, at_most=False)
    if theirs := results.median(rows.FORWARDER, "tcp.cpu"):
        yield Verdict("throughput", "CPU s/GB to the bare forwarder with AES-256-GCM", 1.0, ours / theirs)
    if theirs := results.median(rows.OURS_CHACHA, "tcp.cpu"):
        yield Verdict("throughput", "ChaCha20-Poly1305 to AES-256-GCM", 1.6, theirs / ours)
    if theirs := results.median(rows.OURS_RAW, "tcp.cpu"):
        yield Verdict("throughput", "raw ESP to ESP in UDP", 1.5, theirs / ours)


def _small(results: Results) -> Iterator[Verdict]:
    ours = results.median(rows.OURS, "small.kpps")
    for row in (rows.WIREGUARD_GO, rows.WIREGUARD_GO_NEWER):
        if ours is not None and (theirs := results.median(row, "small.kpps")):
            yield Verdict("small packets", f"64 B kpps to {row}", 4.0, ours / theirs, at_most=False)
    if (round_trip := results.median(rows.OURS, "rtt_us")) is not None:
        yield Verdict("small packets", "round trip, us", 120.0, round_trip)
    if (idle := results.median(rows.OURS, "idle_percent")) is not None:
        yield Verdict("small packets", "CPU time without traffic, % of a core", 1.0, idle)


def _memory(results: Results) -> Iterator[Verdict]:
    for packet in results.engine.packets:
        if packet.octets == 64 and packet.over_ns is not None:
            name = f"{packet.transform}, 64 octets: ns over the bare AEAD"
            yield Verdict("in memory", name, 60.0, packet.over_ns)


def _scale(results: Results) -> Iterator[Verdict]:
    scale = {row.sas: row for row in results.engine.scale}
    if scale:
        few, many = scale[min(scale)], scale[max(scale)]
        yield Verdict("scale", f"octets an outbound SA, of {many.sas:,}", 1024.0, many.outbound_octets)
        yield Verdict("scale", f"octets an inbound SA, of {many.sas:,}", 1024.0, many.inbound_octets)
        for name, most, least in (
            ("seal, of a hundred", many.seal_few_ns, few.seal_few_ns),
            ("open, of a hundred", many.open_few_ns, few.open_few_ns),
            ("seal, of any, from memory", many.seal_any_ns, few.seal_any_ns),
            ("open, of any, from memory", many.open_any_ns, few.open_any_ns),
        ):
            yield Verdict("scale", f"{name}: {many.sas:,} SAs to {few.sas:,}", 1.5, most / least)
    if results.engine.stalls:
        longest = max(stall.engine_ms for stall in results.engine.stalls)
        yield Verdict("scale", "10,000 changes stall a packet, ms", 5.0, longest)


def _ike(results: Results) -> Iterator[Verdict]:
    names = [name for name in results.set_ups if name.startswith(OURS)]
    for name in names:
        ours = results.responder_cpu_ms(name)
        yield Verdict("IKE", f"set-up, ms of the responder's CPU ({name} at once)", 1.5, ours)
    if kept := results.kept.get(OURS):
        yield Verdict("IKE", "KiB an IKE SA with a Child SA, responder", 20.0, kept.responder_kib)
    if flood := results.floods.get(OURS):
        octets = flood.octets_a_request
        yield Verdict("IKE", "flood at ten times capacity: octets of memory a request", 100.0, octets)
        yield Verdict("IKE", "flood: a good peer's set-ups that fail", 0.0, flood.failed)
