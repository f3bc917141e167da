from __future__ import annotations

from hashlib import sha1
from ipaddress import ip_address

import pytest

from perilune.crypto.nat_detection import nat_detection_hash
from perilune.model.address import Endpoint
from perilune.model.spi import IkeSpi


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.23
##= type=test
##% The data associated with the NAT_DETECTION_SOURCE_IP notification
##% is a SHA-1 digest of the SPIs (in the order they appear in the
##% header), IP address, and port from which this packet was sent.
@pytest.mark.parametrize(
    ("address", "packed"),
    [("192.0.2.1", "c0000201"), ("2001:db8::1", "20010db8000000000000000000000001")],
)
def test_hash(address: str, packed: str) -> None:
    octets = bytes.fromhex("0102030405060708 0000000000000000" + packed + "01f4")
    endpoint = Endpoint(ip_address(address), 500)
    found = nat_detection_hash(IkeSpi(0x0102030405060708), IkeSpi(0), endpoint)
    assert found == sha1(octets, usedforsecurity=False).digest()
