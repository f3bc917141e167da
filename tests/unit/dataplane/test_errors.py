"""Whatever Python passes, the compiled engine answers with a value or one of our errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from perilune.databases.changes import AddPolicy, AddSa, Change, MoveSa, RemovePolicy, RemoveSa
from perilune.databases.sad import Direction
from perilune.databases.spd import PolicyId
from perilune.dataplane.engine import Engine
from perilune.dataplane.native import NativeEngine, native_changes
from perilune.dataplane.runtime import Runtime, RuntimeSettings
from perilune.model.address import Endpoint, Path
from perilune.model.errors import LocalError
from perilune.model.spi import Spi
from perilune.model.time import Instant
from support.esp_tunnel import LEFT_SPI, POLICY, START, Tunnel, path

TUNNEL = Tunnel()
INBOUND = TUNNEL.sa(Direction.INBOUND)


def changed(**values: object) -> Change:
    return AddSa(replace(INBOUND, **values))  # type: ignore[arg-type] # the point is what is wrong


IMPOSSIBLE: dict[str, list[Change]] = {
    "the same SA twice": [TUNNEL.policy(), AddSa(INBOUND), AddSa(INBOUND)],
    "no policy for the SA": [AddSa(INBOUND)],
    "removing an SA that is not there": [RemoveSa(Direction.INBOUND, LEFT_SPI, TUNNEL.path)],
    "moving an SA that is not there": [MoveSa(Direction.OUTBOUND, LEFT_SPI, TUNNEL.path, TUNNEL.path)],
    "removing a policy that is not there": [RemovePolicy(POLICY)],
    "a reserved SPI": [TUNNEL.policy(), changed(spi=Spi(255))],
    "the SPI zero": [TUNNEL.policy(), changed(spi=Spi(0))],
    "an SPI that does not fit": [TUNNEL.policy(), changed(spi=Spi(1 << 32))],
    "a negative SPI": [TUNNEL.policy(), changed(spi=Spi(-1))],
    "a policy that does not fit": [RemovePolicy(PolicyId(1 << 40))],
    "a port that does not fit": [
        TUNNEL.policy(),
        changed(path=Path(Endpoint(ip_address("192.0.2.1"), 1 << 16), TUNNEL.path.remote)),
    ],
    "a scope that is no number": [TUNNEL.policy(), changed(path=path("fe80::1%eth0", "fe80::2"))],
    "negative priority": [AddPolicy(replace(TUNNEL.policy().entry, priority=-1))],
}


# covers R4302-2.4-1
# covers R4303-2.1-2
@pytest.mark.parametrize("changes", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_change_changes_nothing(changes: list[Change]) -> None:
    engine = Engine()
    with pytest.raises(LocalError):
        engine.apply(changes, START)
    assert engine.stats().sas == ()
    assert engine.stats().policies == ()


@pytest.mark.parametrize("now_ns", [-1, 1 << 64])
def test_a_time_that_does_not_fit_is_the_callers_fault(now_ns: int) -> None:
    for call in (Engine().on_time, lambda now: Engine().apply([], now), lambda now: Engine().seal(b"", now)):
        with pytest.raises(LocalError, match="time"):
            call(Instant(now_ns))


NONSENSE: dict[str, Callable[[NativeEngine], object]] = {
    "changes that are no list": lambda engine: engine.apply(7, 0),  # type: ignore[arg-type] # on purpose
    "a change that is no pair": lambda engine: engine.apply([3], 0),  # type: ignore[list-item] # on purpose
    "an unknown change": lambda engine: engine.apply([("explode", 1)], 0),
    "an SA without values": lambda engine: engine.apply([("add_sa", {})], 0),
    "a path that is none": lambda engine: engine.open(b"", ("a", "b"), False, 0),  # type: ignore[arg-type] # so
}


@pytest.mark.parametrize("call", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_an_exception(call: Callable[[NativeEngine], object]) -> None:
    with pytest.raises((LocalError, TypeError)):
        call(NativeEngine())


def test_keys_show_up_in_no_error() -> None:
    [_, (kind, values)] = native_changes([TUNNEL.policy(), AddSa(INBOUND)])
    assert isinstance(values, dict)
    secret: bytes = values["encryption_key"]
    for wrong in (
        {**values, "key_bits": 77},
        {**values, "encryption_key": secret + b"!"},
        {**values, "spi": "x"},
    ):
        with pytest.raises(LocalError) as caught:
            NativeEngine().apply([*native_changes([TUNNEL.policy()]), (kind, wrong)], 0)
        assert repr(secret)[2:-1] not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        RuntimeSettings(tun_name=""),
        RuntimeSettings(tun_name="a name with spaces"),
        RuntimeSettings(ike_port=5000, nat_t_port=5000),
    ],
    ids=["no name", "spaces", "one port"],
)
def test_settings_that_nothing_could_carry_out(settings: RuntimeSettings) -> None:
    with pytest.raises(LocalError):
        Runtime(replace(settings, local_addresses=(ip_address("127.0.0.1"),), raw_esp=False))


def test_threads_share_an_engine() -> None:
    left, right = TUNNEL.engines()
    packet = bytes.fromhex("450000140000000040110000") + bytes([10, 1, 0, 7, 10, 2, 0, 9])
    datagrams: list[Any] = []

    def seal() -> None:
        for _ in range(200):
            datagrams.extend(left.seal(packet, START))

    threads = [threading.Thread(target=seal) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    back = Path(TUNNEL.path.remote, TUNNEL.path.local)
    opened = [right.open(sealed.data, back, sealed.encapsulation, START) for sealed in datagrams]
    # Each has a sequence number of its own; what fell out of the window while it waited is dropped.
    sequences = {sealed.data[4:8] for sealed in datagrams}
    assert len(sequences) == len(datagrams) == 800
    assert opened[0] == [packet]
