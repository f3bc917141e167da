"""What becomes of figures: verdicts, tables, and the page that has them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import engine, report, rows
from benchmarks.chart import draw
from benchmarks.ike.flood import Flooded
from benchmarks.ike.rate import Kept, Rate
from benchmarks.measure import speed_up
from benchmarks.page import renew, replace
from benchmarks.profile import Profile, shares
from benchmarks.results import Results
from benchmarks.verdicts import Verdict, verdicts
from lab.errors import LabError

PACKETS = """\
suite                                        octets   seal ns      bare   open ns      bare
Combined(AesGcm(Bits256, Sixteen))               64       254       168       376       149
Separate(Cbc(Aes(Bits256)), HmacSha2_256_128)    64       595         -       633         -
"""
SCALE = """\
     SAs  policy oct   out oct    in oct  SAs a s   seal 1  few ns  any ns  open 1  few ns  any ns
      10       28672     21709      1229    169491     276     200     210     299     300     310
  100000         695      1302      1273     91743     273     400    1858     286     375    2000
10,000 policies added: 20.0 ms; longest seal 0.059 ms of its own, 0.103 ms on the wall, \
0.101 ms without waiting for a processor
10,000 SAs removed: 37.7 ms; longest seal 0.115 ms of its own, 6.437 ms on the wall, \
5.437 ms without waiting for a processor
"""


def by_name(results: Results) -> dict[str, Verdict]:
    return {verdict.requirement: verdict for verdict in verdicts(results)}


def tunnels(**figures: float) -> Results:
    """Results in which our row and each peer's have the CPU seconds for a gigabyte that are given."""
    return Results(tunnels={getattr(rows, name): [{"tcp.cpu": cpu}] for name, cpu in figures.items()})


def test_peers_are_measured_against_our_row() -> None:
    found = by_name(tunnels(OURS=1.5, STRONGSWAN=22.5, WIREGUARD_GO_NEWER=6.0, FORWARDER=1.6))
    assert found["CPU s/GB"].holds
    assert found["CPU s/GB of strongSwan to ours"].measured == pytest.approx(15.0)
    assert found["CPU s/GB of strongSwan to ours"].holds
    assert found["CPU s/GB of wireguard-go with GSO and GRO to ours"].measured == pytest.approx(4.0)
    assert not found["CPU s/GB of wireguard-go with GSO and GRO to ours"].holds
    assert found["CPU s/GB to the bare forwarder with AES-256-GCM"].holds


def test_the_older_wireguard_go_counts_where_there_is_no_newer_one() -> None:
    found = by_name(tunnels(OURS=1.5, WIREGUARD_GO=21.0))
    assert found["CPU s/GB of wireguard-go to ours"].limit == 15.0
    assert not found["CPU s/GB of wireguard-go to ours"].holds


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdicts(Results()) == []
    assert report.tables(Results()) == []


def test_median_of_the_rounds_is_what_counts() -> None:
    results = Results(tunnels={rows.OURS: [{"rtt_us": value} for value in (119.0, 500.0, 110.0)]})
    assert by_name(results)["round trip, us"].holds


def test_memory_and_cpu_of_ike_are_the_responders() -> None:
    rate = Rate(per_s=400, initiator_cpu_ms=9.0, responder_cpu_ms=1.4, latency_ms=2.0, failed=0)
    results = Results(set_ups={"perilune, 8": [rate]}, kept={"perilune": Kept(21.0, 1.0)})
    found = by_name(results)
    assert found["set-up, ms of the responder's CPU (perilune, 8 at once)"].holds
    assert not found["KiB an IKE SA with a Child SA, responder"].holds


def test_memory_that_grows_with_each_request_is_not_flat() -> None:
    def judge(grown_mib: float) -> bool:
        flooded = Flooded(5000, 100, 99, grown_mib, 2.0, 5.0, 9.0, 0)
        found = by_name(Results(floods={"perilune": flooded}))
        return found["flood at ten times capacity: octets of memory a request"].holds

    assert judge(1.0)
    assert not judge(40_000 * 0.005)  # 5 KiB for each of the requests of 8 s


def test_the_engines_benchmarks_are_understood() -> None:
    results = Results()
    results.engine.packets = engine.read_packets(PACKETS)
    results.engine.scale = engine.read_scale(SCALE)
    results.engine.stalls = engine.read_stalls(SCALE)
    gcm, cbc = results.engine.packets
    assert (gcm.transform, gcm.octets, gcm.seal_ns, gcm.bare_open_ns) == ("AES-256-GCM", 64, 254, 149)
    assert gcm.over_ns == 376 - 149
    assert cbc.over_ns is None
    found = by_name(results)
    assert not found["AES-256-GCM, 64 octets: ns over the bare AEAD"].holds
    assert not found["octets an outbound SA, of 100,000"].holds
    assert found["octets an inbound SA, of 100,000"].measured == 1273
    assert found["seal, of a hundred: 100,000 SAs to 10"].measured == pytest.approx(2.0)
    assert found["open, of a hundred: 100,000 SAs to 10"].holds
    assert results.engine.scale[1].installed_per_s == 91743
    assert found["10,000 changes stall a packet, ms"].measured == 5.437


def test_other_output_of_a_benchmark_is_an_error() -> None:
    with pytest.raises(LabError, match="not understood"):
        engine.read_packets("error: no such bench")


def test_speed_up_leaves_the_benchmarks_own_load_out() -> None:
    sample = {
        "one_core.gbit": 4.0,
        "one_core.load": 0.2,
        "one_core.others": 0.0,
        "two_cores.gbit": 7.0,
        "two_cores.load": 0.25,
        "two_cores.others": 0.0,
    }
    assert speed_up(sample) == pytest.approx((7.0 * 2 / 1.75) / (4.0 / 0.8))


def test_only_the_places_of_a_page_change() -> None:
    page = (
        "a\n<!-- measured: many -->\nold\n<!-- end of many -->\nb\n<!-- measured: x -->\n<!-- end of x -->\n"
    )
    text, renewed = replace(page, {"many": "| new |\n", "other": "-"})
    assert renewed == ["many"]
    assert text == page.replace("old", "\n| new |\n")
    again, _ = replace(text, {"many": "| new |\n"})
    assert again == text


def test_a_page_without_places_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no places\n")
    with pytest.raises(LabError, match="no place"):
        renew(page, tunnels(OURS=1.0), "1 round")


def test_a_table_is_as_wide_in_each_row() -> None:
    for table in report.tables(tunnels(OURS=1.5, STRONGSWAN=22.5)):
        assert {len(row) for row in table.rows} == {len(table.head)}


PERF = """\
# Overhead|Shared Object|Symbol
    40.00%  |_native.abi3.so  |[.] aws_lc_0_47_0_aes_gcm_encrypt_avx512
    30.00%  |[kernel.kallsyms]|[k] _copy_to_iter
    20.00%  |_native.abi3.so  |[.] perilune_engine::inbound::open::h0123456789abcdef
     5.00%  |[kernel.kallsyms]|[k] veth_xmit
     5.00%  |libIPSec_MB.so.1 |[.] 0x000000000029c320
"""


def test_samples_are_sorted_by_kind_of_work_and_drawn() -> None:
    found, symbols = shares(PERF)
    assert found["encryption"] == pytest.approx(0.45)
    assert found["copies"] == pytest.approx(0.3)
    assert found["network path of the kernel"] == pytest.approx(0.05)
    assert found["own code"] == pytest.approx(0.2)
    assert symbols[2][0] == "perilune_engine::inbound::open"
    picture = ElementTree.fromstring(draw({"a & b": Profile(2.0, found, symbols)}))  # noqa: S314  # our own
    widths = [float(box.attrib["width"]) for box in picture.iterfind("{*}rect") if len(box)]
    assert len([width for width in widths if width]) == 4
