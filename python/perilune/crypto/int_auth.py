"""IntAuth: what AUTH signs of the IKE_INTERMEDIATE exchanges (RFC 9242, section 3.3.2).

    IntAuth    = IntAuth_iN | IntAuth_rN | IKE_AUTH_MID
    IntAuth_in = prf(SK_pin, IntAuth_i(n - 1) | request n)
    IntAuth_rn = prf(SK_prn, IntAuth_r(n - 1) | response n)

where the messages are as they were before encryption and fragmentation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from perilune.crypto.prf import prf
from perilune.model.iana import PrfId
from perilune.model.secret import Secret


@dataclass(frozen=True, slots=True)
class IntAuth:
    """IntAuth so far; it grows neither with the number of exchanges nor with their lengths."""

    initiator: bytes = b""
    """IntAuth_in; empty where there was no exchange yet."""

    responder: bytes = b""
    exchanges: int = 0
    """n: how many were answered."""

    def with_request(self, prf_id: PrfId, sk_pi: Secret, message: bytes) -> IntAuth:
        """Return the same with the next request.

        Args:
            prf_id: The IKE SA's PRF.
            sk_pi: SK_pi from before this exchange.
            message: What `clear_octets` gives.
        """
        return replace(self, initiator=prf(prf_id, sk_pi, self.initiator + message))

    def with_response(self, prf_id: PrfId, sk_pr: Secret, message: bytes) -> IntAuth:
        """Return the same with the response to that; the arguments are as in `with_request`."""
        responder = prf(prf_id, sk_pr, self.responder + message)
        return replace(self, responder=responder, exchanges=self.exchanges + 1)

    @property
    def octets(self) -> bytes:
        """IntAuth, once the next request is IKE_AUTH's first; empty where there was no exchange."""
        if not self.exchanges:
            return b""
        ##= https://www.rfc-editor.org/rfc/rfc9242#section-3.2
        ##% The Message ID for the first pair of
        ##% IKE_AUTH messages is one more than the value used in the last
        ##% IKE_INTERMEDIATE exchange.
        return self.initiator + self.responder + (self.exchanges + 1).to_bytes(4)
