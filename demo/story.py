"""What happens in the demo, step by step."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.show import Stage
from lab import iperf
from lab.capture import Overheard, Tap, tap
from lab.daemon import IkeDaemon
from lab.errors import LabError
from lab.perilune import Perilune
from lab.privileges import standing
from lab.process import PATIENCE_S, Child, until
from lab.topology import Sites, host, outer, two_sites
from lab.traffic import WEB_PORT, program, services, transfer

HERE = Path(__file__).parent
FILE_NAME = "telemetry.txt"
FILE_OCTETS = 24_000_000
FETCH_OCTETS_PER_S = 8_000_000
NEEDLES = ("GET /telemetry.txt", "HTTP/1.1", "oxygen nominal")
CONNECTION, CHILD = "moon", "lander"


def telemetry(path: Path) -> str:
    """Write a file of readable lines.

    Returns:
        Its SHA-256.
    """
    rng = random.Random(1969)  # noqa: S311  # readings of instruments, not keys
    line = "{:07d} altitude {:6d} m, oxygen nominal, all well\n"
    count = FILE_OCTETS // len(line.format(0, 0))
    path.write_text("".join(line.format(number, rng.randrange(10**6)) for number in range(count)))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part."""

    stage: Stage
    """Where it is shown."""
    directory: Path
    """For files that go away afterwards."""
    sites: Sites
    """The namespaces."""
    gateway_a: IkeDaemon
    """Our daemon at site a."""
    gateway_b: IkeDaemon
    """Our daemon at site b."""
    checksum: str
    """SHA-256 of the file."""


def tell(stage: Stage, directory: Path, gateways: list[IkeDaemon]) -> None:
    """Run the demo.

    Args:
        stage: Where it is shown.
        directory: For files that go away afterwards.
        gateways: Gets the gateways, so that their logs can be shown if something goes wrong.

    Raises:
        LabError: Something did not work.
    """
    web = directory / "web"
    web.mkdir()
    checksum = telemetry(web / FILE_NAME)
    with ExitStack() as stack:
        with stage.step("Four namespaces: host, gateway, gateway, host") as say:
            sites = stack.enter_context(two_sites(leaky=True))
            for namespace in (sites.host_a, sites.host_b):
                stack.enter_context(services(namespace, web))
            say(f"built as {standing()}")
        stage.drawing()
        clear = _without_tunnel(stage, sites, directory)
        with stage.step("Two gateways start, each on its own configuration") as say:
            gateway_a, gateway_b = (
                Perilune(namespace, directory / name, (HERE / f"gateway-{name}.conf").read_text())
                for namespace, name in ((sites.gateway_a, "a"), (sites.gateway_b, "b"))
            )
            gateways += [gateway_a, gateway_b]
            stack.enter_context(gateway_a)
            stack.enter_context(gateway_b)
            say(f"processes {gateway_a.child.pid} and {gateway_b.child.pid}")
        _act(Cast(stage, directory, sites, gateway_a, gateway_b, checksum), clear)
        with stage.step("Both gateways shut down, and delete their SAs at each other") as say:
            codes = [gateway.stop() for gateway in (gateway_a, gateway_b)]
            if codes != [0, 0]:
                raise LabError(f"the gateways ended with {codes}")
            say("exit code 0 twice")


def _act(cast: Cast, clear: Overheard) -> None:
    stage = cast.stage
    with stage.step("IKEv2 sets the tunnel up: IKE_SA_INIT, IKE_AUTH") as say:
        cast.gateway_a.initiate(CHILD)
        cast.gateway_b.wait_for_child(CHILD)
        say(_suite(cast.gateway_a))
    with _ears(cast.sites, cast.directory, "tunnel") as (wire, lan):
        _fetch(cast)
        on_wire, on_lan = wire.finish(), lan.finish()
    stage.sad(cast.gateway_a)
    stage.spd(cast.gateway_a)
    stage.eavesdropper({"wire, no tunnel": clear, "wire, tunnel": on_wire, "host b's cable": on_lan}, NEEDLES)
    stage.packet("wire, no tunnel", clear)
    stage.packet("wire, tunnel", on_wire)
    _nothing_leaked(on_wire, on_lan)
    _throughput(cast)


@contextmanager
def _ears(sites: Sites, directory: Path, name: str) -> Iterator[tuple[Tap, Tap]]:
    with (
        tap(sites.gateway_b, "wire", directory / f"{name}-wire.log", NEEDLES) as wire,
        tap(sites.host_b, "lan", directory / f"{name}-lan.log", NEEDLES) as lan,
    ):
        yield wire, lan


def _url() -> str:
    return f"http://{host(2)}:{WEB_PORT}/{FILE_NAME}"


def _without_tunnel(stage: Stage, sites: Sites, directory: Path) -> Overheard:
    with (
        stage.step("Before there is a tunnel, whoever sits on the wire reads along") as say,
        _ears(sites, directory, "clear") as (wire, _),
    ):
        sites.host_a.run(*program("fetch", _url(), str(10**9)))
        overheard = wire.finish()
        say(f'"{NEEDLES[-1]}" read {overheard.seen[NEEDLES[-1]]:,} times')
    return overheard


def _suite(gateway: IkeDaemon) -> str:
    ike = gateway.ike_sas(CONNECTION)[0].fields
    child = gateway.wait_for_child(CHILD).fields
    return (
        f"IKE {ike['encr-alg']}-{ike.get('encr-keysize', '')} {ike['prf-alg']} {ike['dh-group']}, "
        f"ESP {child['encr-alg']}-{child.get('encr-keysize', '')}"
    )


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A download in progress."""

    child: Child

    def reaches(self, octets: int) -> None:
        until(
            lambda: self.octets() >= octets or self.child.returncode is not None,
            PATIENCE_S,
            f"{octets} octets",
        )

    def octets(self) -> int:
        lines = [line for line in self.child.log().splitlines() if line.isdigit()]
        return int(lines[-1]) if lines else 0

    def sha256(self) -> str:
        if self.child.wait(PATIENCE_S) != 0:
            raise LabError(f"the download failed: {self.child.tail()}")
        return str(json.loads(self.child.log().splitlines()[-1])["sha256"])


def _fetch(cast: Cast) -> None:
    stage, gateway_a, gateway_b = cast.stage, cast.gateway_a, cast.gateway_b
    words = program("fetch", _url(), str(FETCH_OCTETS_PER_S))
    with cast.sites.host_a.spawn("download", *words, log=cast.directory / "fetch.log") as child:
        fetch = _Fetch(child)
        with stage.step(f"Host a fetches {_url()}") as say:
            fetch.reaches(FILE_OCTETS // 4)
            say(f"{fetch.octets() / 1e6:.0f} MB so far, at {FETCH_OCTETS_PER_S // 10**6} MB/s on purpose")
        with stage.step("Gateway a replaces the Child SA in the middle of it") as say:
            say(_changed(lambda: gateway_a.rekey_child(CHILD), lambda: _child_spi(gateway_a)))
        fetch.reaches(FILE_OCTETS // 2)
        with stage.step("Gateway b replaces the IKE SA in the middle of it") as say:
            say(_changed(lambda: gateway_b.rekey_ike(CONNECTION), lambda: _ike_spi(gateway_b)))
        with stage.step("The file is there, its SHA-256 is that of the original") as say:
            found = fetch.sha256()
            if found != cast.checksum:
                raise LabError(f"the SHA-256 is {found}, not {cast.checksum}")
            say(f"{FILE_OCTETS / 1e6:.0f} MB, {found[:32]}...")


def _child_spi(gateway: IkeDaemon) -> str:
    return str(gateway.wait_for_child(CHILD).fields["spi-in"])


def _ike_spi(gateway: IkeDaemon) -> str:
    sas = [sa for sa in gateway.ike_sas(CONNECTION) if sa.state == "ESTABLISHED"]
    return sas[-1].spis[0] if sas else ""


def _changed(order: Callable[[], None], spi: Callable[[], str]) -> str:
    before = spi()
    order()
    after = until(lambda: (now := spi()) != before and now, PATIENCE_S, "another SPI")
    return f"SPI {before} -> {after}"


def _nothing_leaked(on_wire: Overheard, on_lan: Overheard) -> None:
    if any(on_wire.seen.values()) or not all(on_lan.seen.values()):
        raise LabError(f"seen on the wire: {on_wire.seen}; by the host: {on_lan.seen}")
    if clear := set(on_wire.packets) & {"TCP", "UDP", "ICMP"}:
        raise LabError(f"on the wire in the clear: {clear}")


def _throughput(cast: Cast) -> None:
    sites = cast.sites
    with cast.stage.step("Throughput, two seconds each") as say:
        if not iperf.installed():
            moved = transfer(sites.host_a, host(2), 100)
            say(f"{moved.megabit_per_s:.0f} Mbit/s, 100 MB each way with equal SHA-256 (there is no iperf3)")
            return
        log = cast.directory / "iperf3.log"
        tunnel = iperf.tcp(sites.host_a, sites.host_b, host(2), log).gbit_per_s
        bare = iperf.tcp(sites.gateway_a, sites.gateway_b, outer(2), log).gbit_per_s
        say(f"through the tunnel {tunnel:.2f} Gbit/s, on the bare cable {bare:.1f} Gbit/s (iperf3, one TCP)")
