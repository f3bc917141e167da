"""Security Parameter Indexes: 32 bits for ESP and AH, 64 bits for IKE."""

from __future__ import annotations

from typing import NewType

Spi = NewType("Spi", int)
"""SPI of an ESP or AH SA, 256 to 2**32 - 1 where we chose it (RFC 4303, section 2.1)."""

IkeSpi = NewType("IkeSpi", int)
"""SPI of one side of an IKE SA, 64 bits; 0 while the responder's is unknown (RFC 7296, section 3.1)."""

NO_IKE_SPI = IkeSpi(0)
"""The responder's SPI in the first message of IKE_SA_INIT."""


def format_spi(spi: Spi) -> str:
    """Return an SPI as logs, Wireshark and `ip xfrm` write it: `0xc0ffee01`."""
    return f"0x{spi:08x}"


def format_ike_spi(spi: IkeSpi) -> str:
    """Return an IKE SPI as 16 hexadecimal digits."""
    return f"{spi:016x}"
