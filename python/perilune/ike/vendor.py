"""Extensions that are a vendor's: who sends the vendor's constant knows them (RFC 7296, section 3.12).

USE_BEET_MODE has a number for private use, and strongSwan, whose it is, ignores it from a peer that has not
sent the constant. So it is sent where a child is in BEET mode, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from perilune.databases.processing import Mode
from perilune.wire.payloads import Payload, VendorPayload

STRONGSWAN: Final = bytes.fromhex("882fe56d6fd20dbc2251613b2ebe5beb")
"""MD5 of `strongSwan`: its sender knows the private numbers of that implementation."""


def vendor_payloads(modes: Collection[Mode]) -> tuple[Payload, ...]:
    """Return what to send in IKE_SA_INIT, by the modes of the children that it may lead to."""
    return (VendorPayload(STRONGSWAN),) if Mode.BEET in modes else ()
