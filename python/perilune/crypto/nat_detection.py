"""The hashes by which two peers find a NAT between them (RFC 7296, section 2.23)."""

from __future__ import annotations

from hashlib import sha1

from perilune.model.address import Endpoint
from perilune.model.spi import IkeSpi


def nat_detection_hash(spi_i: IkeSpi, spi_r: IkeSpi, endpoint: Endpoint) -> bytes:
    """Return the data of NAT_DETECTION_SOURCE_IP or NAT_DETECTION_DESTINATION_IP, 20 octets.

    Args:
        spi_i: The initiator's SPI as in the message's header.
        spi_r: The responder's SPI as in that header; 0 in the first message.
        endpoint: Where the message comes from (SOURCE) or goes to (DESTINATION), as its sender sees it.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.23
    ##% The data associated with the NAT_DETECTION_SOURCE_IP notification
    ##% is a SHA-1 digest of the SPIs (in the order they appear in the
    ##% header), IP address, and port from which this packet was sent.
    data = spi_i.to_bytes(8) + spi_r.to_bytes(8) + endpoint.address.packed + endpoint.port.to_bytes(2)
    return sha1(data, usedforsecurity=False).digest()
