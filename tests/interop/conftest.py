"""What every scenario needs: two gateways of different make, hosts behind them, and a table at the end.

A scenario is a folder with `perilune.conf` for our gateway, `swanctl.conf` for strongSwan, a README.md and
the test. With `--peer-alone` strongSwan is on both sides, which tells a fault of the laboratory from one of
ours.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from lab.daemon import IkeDaemon
from lab.errors import MissingProgramError
from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.process import PATIENCE_S, until
from lab.strongswan import StrongSwan, require_strongswan
from lab.topology import Sites, forget_mappings, host, two_sites_with_nat
from lab.traffic import ping, services
from support.peers import absent, need

IMPATIENT = "retransmit_timeout = 0.5\nretransmit_base = 1.5\nretransmit_tries = 2\nkeep_alive = 1s"
"""Settings of a strongSwan that soon gives up, and has something to say."""


CASES: dict[str, tuple[str, str]] = {}
"""Scenario and sentence of each test, for the table."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--peer-alone",
        action="store_true",
        help="interop: strongSwan on both sides, to examine the laboratory",
    )


def require_namespaces_and_strongswan() -> None:
    """Make sure that two gateways can be set up.

    Raises:
        MissingProgramError: A program is not installed.
    """
    for program, package in (("nft", "nftables"), ("ping", "iputils-ping"), ("ip", "iproute2")):
        if not shutil.which(program):
            raise MissingProgramError(program, package)
    require_strongswan()


@pytest.fixture(scope="session", autouse=True)
def peer_is_there() -> None:
    """Ask for what the scenarios need; a folder with another peer has a fixture of this name for that."""
    if os.geteuid() != 0:
        absent("namespaces with strongSwan want root")
    need(require_namespaces_and_strongswan)


@dataclass(frozen=True, slots=True)
class Gateways:
    """Our gateway and theirs, and what is around them."""

    sites: Sites
    ours: IkeDaemon
    theirs: IkeDaemon
    logs: Path

    def by_name(self, name: str) -> IkeDaemon:
        return self.ours if name == "ours" else self.theirs

    def other(self, name: str) -> IkeDaemon:
        return self.theirs if name == "ours" else self.ours


class Bench:
    """Builds gateways from the files of a scenario's folder.

    Args:
        directory: For sockets, logs and copies of the configurations.
        peer_alone: Whether strongSwan stands in for us.
    """

    def __init__(self, directory: Path, peer_alone: bool) -> None:
        self.directory = directory
        self.peer_alone = peer_alone

    def ours(self, namespace: Namespace, config: Path) -> IkeDaemon:
        where = self.directory / f"ours-{namespace.name}"
        text = config.read_text()
        if not self.peer_alone:
            return Perilune(namespace, where, text)
        return StrongSwan(namespace, where, text.split("daemon {")[0], IMPATIENT)

    def theirs(self, namespace: Namespace, config: Path, settings: str = "") -> StrongSwan:
        where = self.directory / f"theirs-{namespace.name}"
        return StrongSwan(namespace, where, config.read_text(), settings)

    @contextmanager
    def gateways(self, sites: Sites, ours: IkeDaemon, theirs: IkeDaemon) -> Iterator[Gateways]:
        """Run both daemons and the services of both hosts; show the logs if something goes wrong."""
        web = self.directory / "web"
        web.mkdir(exist_ok=True)
        with ExitStack() as stack:
            for namespace in (sites.host_a, sites.host_b):
                stack.enter_context(services(namespace, web))
            stack.enter_context(theirs)
            stack.enter_context(ours)
            yield Gateways(sites, ours, theirs, self.directory)


@contextmanager
def through_a_nat(bench: Bench, configs: Path, behind: str) -> Iterator[Gateways]:
    """Run both gateways with a router between that hides one of them, which has set the tunnel up.

    Args:
        bench: Builds them.
        configs: Folder with `perilune.conf` and `swanctl.conf`.
        behind: `ours` or `theirs`: which one is behind the router.
    """
    with two_sites_with_nat() as sites:
        inside, outside = sites.gateway_a, sites.gateway_b
        ours = bench.ours(inside if behind == "ours" else outside, configs / "perilune.conf")
        theirs = bench.theirs(outside if behind == "ours" else inside, configs / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            gateways.by_name(behind).initiate("net")
            yield gateways


def move_mapping(gateways: Gateways, ports: str) -> float:
    """Let the router forget and map to other ports; wait until a ping comes through again.

    Returns:
        How long that took, in seconds.
    """
    router = gateways.sites.router
    assert router is not None
    forget_mappings(router, f":{ports}")
    start = time.monotonic()
    until(lambda: ping(gateways.sites.host_a, host(2), count=1, wait_s=0.5), PATIENCE_S, "an answer")
    return round(time.monotonic() - start, 1)


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    # the control socket's path must stay below 108 octets
    return Bench(tmp_path_factory.mktemp("interop"), request.config.getoption("--peer-alone", default=False))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what both daemons logged to a failed test's report, and to every report its line in the table."""
    bench = item.funcargs.get("bench") if isinstance(item, pytest.Function) else None
    if call.when == "call" and call.excinfo and isinstance(bench, Bench):
        for path in sorted(bench.directory.rglob("*log")):
            item.add_report_section("call", f"{path.parent.name}/{path.name}", path.read_text()[-6000:])
    report = yield
    if not item.get_closest_marker("matrix"):
        CASES[report.nodeid] = case_of(item)
    return report


def case_of(item: pytest.Item) -> tuple[str, str]:
    """Scenario and sentence for the table."""
    function = item.function if isinstance(item, pytest.Function) else None
    sentence = (function.__doc__ or item.name).strip().splitlines()[0].rstrip(".") if function else item.name
    details = item.name[item.name.index("[") :] if "[" in item.name else ""
    return item.path.parent.name, f"{sentence} {details}".strip()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table: case, verdict, seconds, what was noted."""
    rows = []
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if report.nodeid in CASES and (report.when == "call" or outcome != "passed"):
                rows.append((*CASES[report.nodeid], outcome, report))
    if not rows:
        return
    table = Table(title="interoperability with strongSwan 5.9 and Linux 6.1", title_justify="left")
    for column in ("scenario", "case", "verdict", "s", "noted"):
        table.add_column(column, justify="right" if column == "s" else "left")
    colours = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow"}
    for scenario, case, outcome, report in sorted(rows, key=lambda row: row[:2]):
        noted = "; ".join(f"{name} {value}" for name, value in report.user_properties)
        verdict = f"[{colours[outcome]}]{outcome}[/]"
        table.add_row(scenario, case.replace("[", "\\["), verdict, f"{report.duration:.1f}", noted)
    width = max(140, Console().width) if not terminalreporter.isatty else None
    Console(width=width).print(table)
