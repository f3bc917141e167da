"""Where tunnels are compared: two namespaces, a and b, and one cable of MTU 1500 between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.namespace import Namespace, cable, namespaces

OUTER = {"a": "192.0.2.1", "b": "192.0.2.2"}
INNER = {"a": "10.98.0.1", "b": "10.98.0.2"}
OTHER = {"a": "b", "b": "a"}
DEVICE = "wire"

CUT_LATE = ("tso", "gso", "tx-udp-segmentation")
"""What lets a frame longer than the MTU leave a device."""


@dataclass(frozen=True, slots=True)
class Bed:
    """The two namespaces."""

    sides: dict[str, Namespace]
    """By their names, a and b."""

    @contextmanager
    def frames_within_mtu(self) -> Iterator[None]:
        """No frame longer than the MTU crosses the cable, as with network cards that have no offloads.

        The receiving end may join what belongs together (GRO), as any network card's driver does.
        """
        self._offloads(on=False)
        try:
            yield
        finally:
            self._offloads(on=True)

    def _offloads(self, *, on: bool) -> None:
        words = [word for name in CUT_LATE for word in (name, _switch(on))]
        for namespace in self.sides.values():
            namespace.run("ethtool", "-K", DEVICE, *words, "gro", _switch(not on))


@contextmanager
def bed() -> Iterator[Bed]:
    """Make the bed, and take it away at the end."""
    with namespaces("a", "b") as (a, b):
        cable(a, DEVICE, b, DEVICE)
        made = Bed({"a": a, "b": b})
        for side, namespace in made.sides.items():
            namespace.address(DEVICE, f"{OUTER[side]}/24")
        yield made


def _switch(on: bool) -> str:
    return "on" if on else "off"
