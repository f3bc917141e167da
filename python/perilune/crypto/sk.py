"""How IKE protects its own messages (RFC 7296, section 3.14; RFC 5282; RFC 7634, section 3).

```
              associated data               |              content
+---------------------------+---------------+------+----------------------------------+-----+
| IKE Header, clear payloads| SK/SKF header |  IV  | payloads, Padding, Pad Length    | ICV |
+---------------------------+---------------+------+----------------------------------+-----+
                                                   <------------ encrypted ----------->
```
"""

from __future__ import annotations

from typing import Final

from perilune.crypto.integrity import IntegrityKey
from perilune.crypto.sk_ciphers import MessageCipher, combined_cipher, separate_cipher
from perilune.model.algorithms import ENCRYPTION, INTEGRITY
from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import IntegId, NotifyType
from perilune.model.proposal import INTEG_KEY_OCTETS, Encryption
from perilune.model.secret import Secret


class SkCipher:
    """Seals or opens the messages of one direction of an IKE SA.

    Args:
        encryption: The IKE SA's encryption algorithm.
        integrity: Its integrity algorithm; NONE for an AEAD.
        key: SK_ei or SK_er: the key and, behind it, the salt or nonce, if there is one.
        integ_key: SK_ai or SK_ar; empty for an AEAD.

    Raises:
        LocalError: The algorithms do not go together, or a key has a wrong length.
    """

    __slots__ = ("_cipher", "block_octets", "icv_octets", "iv_octets")

    iv_octets: int
    """Length of the initialization vector that `seal` wants."""

    icv_octets: int
    """Length of the Integrity Checksum Data."""

    block_octets: int
    """What the plaintext with its padding is a multiple of; 1 for an AEAD and for the counter mode."""

    def __init__(self, encryption: Encryption, integrity: IntegId, key: Secret, integ_key: Secret) -> None:
        _check(encryption, integrity, key, integ_key)
        self._cipher: Final = _cipher(encryption, integrity, key.reveal(), integ_key.reveal())
        self.iv_octets = self._cipher.iv_octets
        self.icv_octets = self._cipher.icv_octets
        self.block_octets = self._cipher.block_octets

    def sealed_octets(self, plaintext_octets: int) -> int:
        """Return how long `seal` makes a plaintext of so many octets."""
        padded = plaintext_octets + 1 + self._padding_octets(plaintext_octets)
        return self.iv_octets + padded + self.icv_octets

    def plaintext_octets(self, sealed_octets: int) -> int:
        """Return how many octets of plaintext fit at most into so many sealed ones; 0 or less if none do."""
        room = sealed_octets - self.iv_octets - self.icv_octets
        return room - room % self.block_octets - 1

    def seal(self, associated_data: bytes, plaintext: bytes, iv: bytes) -> bytes:
        """Encrypt and authenticate the content of an Encrypted payload or Encrypted Fragment payload.

        Args:
            associated_data: The message up to the content, its lengths already those of the sealed message.
            plaintext: Payloads with their generic headers; the padding is added here.
            iv: `iv_octets` octets. Where `block_octets` is 1 any value that never comes twice under this
                key, such as a counter; for CBC random ones that no one can foresee.

        Returns:
            IV, ciphertext and ICV, `sealed_octets(len(plaintext))` in all.

        Raises:
            LocalError: The IV has a wrong length.
        """
        if len(iv) != self.iv_octets:
            raise LocalError(f"an initialization vector of {len(iv)} octets instead of {self.iv_octets}")
        padding = self._padding_octets(len(plaintext))
        return self._cipher.seal(associated_data, plaintext + bytes(padding) + bytes((padding,)), iv)

    def open(self, associated_data: bytes, content: bytes) -> bytes:
        """Check and decrypt the content of an Encrypted payload or Encrypted Fragment payload.

        Args:
            associated_data: The message up to the content.
            content: The rest of the message: IV, ciphertext and ICV.

        Returns:
            The plaintext without its padding.

        Raises:
            PeerError: The ICV or the length is wrong (its `notify` is None: anyone may have sent this), or
                the padding is (INVALID_SYNTAX: only the peer can have).
        """
        encrypted_octets = len(content) - self.iv_octets - self.icv_octets
        if encrypted_octets < 1 or encrypted_octets % self.block_octets:
            raise PeerError(f"an encrypted payload cannot have {len(content)} octets of content")
        plaintext = self._cipher.open(associated_data, content)
        end = len(plaintext) - 1 - plaintext[-1]
        if end < 0:
            raise PeerError(
                f"{plaintext[-1]} octets of padding in {len(plaintext)} of plaintext",
                notify=NotifyType.INVALID_SYNTAX,
            )
        return plaintext[:end]

    def _padding_octets(self, plaintext_octets: int) -> int:
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.14
        ##% The sender SHOULD
        ##% set the Pad Length to the minimum value that makes the combination
        ##% of the payloads, the Padding, and the Pad Length a multiple of the
        ##% block size
        return -(plaintext_octets + 1) % self.block_octets


def _cipher(encryption: Encryption, integrity: IntegId, key: bytes, integ_key: bytes) -> MessageCipher:
    if encryption.is_aead:
        return combined_cipher(encryption, key)
    return separate_cipher(encryption, key, IntegrityKey(integrity, integ_key))


def _check(encryption: Encryption, integrity: IntegId, key: Secret, integ_key: Secret) -> None:
    known = ENCRYPTION[encryption.id]
    if not known.in_ike or encryption.key_bits not in known.key_bits:
        raise LocalError(f"{encryption} is no algorithm of IKE")
    if encryption.is_aead != (integrity is IntegId.NONE) or not INTEGRITY[integrity].in_ike:
        raise LocalError(f"{encryption} does not go with {integrity.name}")
    if len(key) != encryption.keying_octets or len(integ_key) != INTEG_KEY_OCTETS[integrity]:
        raise LocalError(f"keys of {len(key)} and {len(integ_key)} octets for {encryption}, {integrity.name}")
