"""The fresh values of an exchange: a nonce and a key exchange (RFC 7296, sections 2.10 and 2.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from perilune.crypto.key_exchange import Answer, KeyExchange, respond
from perilune.ike.received import find, require
from perilune.ike.refusal import Refusal
from perilune.model.iana import KeId, NotifyType
from perilune.model.random import Rng
from perilune.model.secret import Secret
from perilune.wire.payloads import KePayload, NoncePayload, Payload

NONCE_OCTETS: Final = 32
"""At least half the key of every PRF that we have, the largest of which takes 64 octets (section 2.10)."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """What the initiator of an exchange contributes."""

    nonce: bytes
    key_exchange: KeyExchange | None

    @classmethod
    def begin(cls, method: KeId, rng: Rng) -> Self:
        """Return a new nonce and, unless the method is NONE, a new key exchange."""
        key_exchange = KeyExchange.begin(method, rng) if method is not KeId.NONE else None
        return cls(rng.octets(NONCE_OCTETS), key_exchange)

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The Nonce payload, then the KE payload if there is one."""
        nonce = NoncePayload(self.nonce)
        if self.key_exchange is None:
            return (nonce,)
        return nonce, KePayload(self.key_exchange.method, self.key_exchange.share)

    def finish(self, chosen: KeId, payloads: Sequence[Payload]) -> Secret | None:
        """Return the shared secret from the responder's KE payload; None where no method was chosen.

        Args:
            chosen: The method of the chosen suite.
            payloads: The responder's message.

        Raises:
            Refusal: The methods differ; the notify is INVALID_KE_PAYLOAD with the chosen one.
            PeerError: The KE payload is missing or its value is bad.
        """
        if chosen is KeId.NONE:
            return None
        ke = require(payloads, KePayload)
        if self.key_exchange is None or chosen != self.key_exchange.method or ke.method != chosen:
            raise invalid_ke(chosen, ke)
        return self.key_exchange.finish(ke.data)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the responder of an exchange contributes."""

    nonce: bytes
    answer: Answer | None

    @classmethod
    def to(cls, chosen: KeId, payloads: Sequence[Payload], rng: Rng) -> Self:
        """Return a new nonce and, unless no method was chosen, the answer to the initiator's KE payload.

        Args:
            chosen: The method of the chosen suite.
            payloads: The initiator's message.
            rng: Where nonce and private key come from.

        Raises:
            Refusal: The KE payload has another method or is missing; the notify is INVALID_KE_PAYLOAD with
                the chosen one (section 1.3). It comes before any costly step.
            PeerError: Its value is bad.
        """
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.3.6
        ##% If one of the proposals offered
        ##% is for the Diffie-Hellman group of NONE, and the responder selects
        ##% that Diffie-Hellman group, then it MUST ignore the initiator's KE
        ##% payload and omit the KE payload from the response.
        answer = answer_ke(chosen, payloads, rng) if chosen is not KeId.NONE else None
        return cls(rng.octets(NONCE_OCTETS), answer)

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """The Nonce payload, then the KE payload if there is one."""
        nonce = NoncePayload(self.nonce)
        return (nonce,) if self.answer is None else (nonce, KePayload(self.answer.method, self.answer.share))

    @property
    def shared(self) -> Secret | None:
        """The shared secret; None where no method was chosen."""
        return self.answer.secret if self.answer else None


def answer_ke(chosen: KeId, payloads: Sequence[Payload], rng: Rng) -> Answer:
    """Answer the initiator's KE payload; see `Reply.to` for what is raised."""
    ke = find(payloads, KePayload)
    if ke is None or ke.method != chosen:
        raise invalid_ke(chosen, ke)
    return respond(chosen, ke.data, rng)


def invalid_ke(chosen: KeId, ke: KePayload | None) -> Refusal:
    """Return the refusal that names the method we chose."""
    return Refusal(
        "the KE payload has another method than the one chosen",
        NotifyType.INVALID_KE_PAYLOAD,
        ours=chosen.name,
        theirs=str(ke.method) if ke else "none",
        notify_data=chosen.to_bytes(2),
    )
