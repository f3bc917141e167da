"""What an SPD entry may ask of packets beyond the selectors of IKE, and what an SA takes from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from perilune.model.errors import LocalError

LARGEST_FLOW_LABEL = (1 << 20) - 1
"""A flow label has 20 bits (RFC 8200, section 3)."""

LARGEST_LEVEL = 255
"""A sensitivity level has 8 bits, in labels of CIPSO and of CALIPSO (RFC 5570) alike."""


@dataclass(frozen=True, slots=True)
class Masked:
    """Bits that count, in any arrangement, and what they have to be.

    Raises:
        LocalError: The value has bits that don't count.
    """

    value: int
    mask: int

    def __post_init__(self) -> None:
        if self.value & ~self.mask:
            raise LocalError(f"{self.value:#x} has bits that its mask {self.mask:#x} has not")

    def fits(self, bits: int) -> bool:
        """Whether the bits that count are as they have to be."""
        return bits & self.mask == self.value

    def __str__(self) -> str:
        return f"{self.value:#x}/{self.mask:#x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What has to hold besides the selectors; None asks for nothing.

    A field that a packet does not have is not what a condition asks for.

    Raises:
        LocalError: Fields of IPv4 and IPv6 are asked for at once, or levels are out of order.
    """

    tos: Masked | None = None
    """Of IPv4."""

    traffic_class: Masked | None = None
    """Of IPv6."""

    flow_label: int | None = None
    """Of IPv6, in 20 bits."""

    level: tuple[int, int] | None = None
    """Least and greatest sensitivity level."""

    user: int | None = None
    """Number of the local user that a packet comes from."""

    local_address: Masked | None = None
    """Bits of the address at our end; IPv4's are the low 32."""

    remote_address: Masked | None = None
    """Bits of the address at the other end; IPv4's are the low 32."""

    def __post_init__(self) -> None:
        if self.tos is not None and (self.traffic_class is not None or self.flow_label is not None):
            raise LocalError(
                "a packet has either the TOS of IPv4 or the traffic class and flow label of IPv6"
            )
        if self.level is not None and self.level[0] > self.level[1]:
            raise LocalError(f"level {self.level[0]} is greater than {self.level[1]}")

    @property
    def texts(self) -> tuple[str, ...]:
        """Each condition as the configuration writes it, `tos = 0xb8/0xfc`."""
        level = self.level
        levels = (
            None if level is None else f"{level[0]}" if level[0] == level[1] else f"{level[0]}-{level[1]}"
        )
        named = {
            "tos": self.tos,
            "traffic_class": self.traffic_class,
            "flow_label": self.flow_label,
            "level": levels,
            "user": self.user,
            "local_mask": self.local_address,
            "remote_mask": self.remote_address,
        }
        return tuple(f"{name} = {value}" for name, value in named.items() if value is not None)


UNCONDITIONAL: Final = Conditions()
"""Asks for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Populate:
    """Which selectors an SA takes from the packet that asks for it: PFP flags (RFC 4301, section 4.4.1.2).

    A port is one of a protocol: with a flag of a port, the protocol comes from the packet too.
    """

    local_address: bool = False
    remote_address: bool = False
    protocol: bool = False
    local_port: bool = False
    """Or the type of a message that we send."""

    remote_port: bool = False
    """Or the type of a message that the other end sends."""

    @property
    def flags(self) -> tuple[bool, bool, bool, bool, bool]:
        """All of them, in the order of RFC 4301."""
        return self.local_address, self.remote_address, self.protocol, self.local_port, self.remote_port

    @property
    def texts(self) -> tuple[str, ...]:
        """The flags that are set, as the configuration writes them."""
        names = ("local", "remote", "protocol", "local_port", "remote_port")
        return tuple(name for name, is_set in zip(names, self.flags, strict=True) if is_set)


NOT_POPULATED: Final = Populate()
"""All flags off: an SA carries what its entry selects."""
