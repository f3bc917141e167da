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

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import EncrId, IntegId, NotifyType
from perilune.model.proposal import INTEG_KEY_OCTETS, Encryption
from perilune.model.secret import Secret

_AEAD_IV_OCTETS: Final = 8
_AEAD_ICV_OCTETS: Final = 16
_AES_BLOCK_OCTETS: Final = 16
_KEY_BITS: Final = {
    EncrId.ENCR_AES_CBC: (128, 192, 256),
    EncrId.ENCR_AES_GCM_16: (128, 192, 256),
    EncrId.ENCR_CHACHA20_POLY1305: (256,),
}
_HASHES: Final = {
    IntegId.AUTH_HMAC_SHA2_256_128: ("sha256", 16),
    IntegId.AUTH_HMAC_SHA2_384_192: ("sha384", 24),
    IntegId.AUTH_HMAC_SHA2_512_256: ("sha512", 32),
}


class SkCipher:
    """Seals or opens the messages of one direction of an IKE SA.

    Args:
        encryption: The IKE SA's encryption algorithm.
        integrity: Its integrity algorithm; NONE for an AEAD.
        key: SK_ei or SK_er: the key and, behind it, the salt of an AEAD.
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
    """What the plaintext with its padding is a multiple of; 1 for an AEAD."""

    def __init__(self, encryption: Encryption, integrity: IntegId, key: Secret, integ_key: Secret) -> None:
        _check(encryption, integrity, key, integ_key)
        self._cipher: _AeadCipher | _CbcCipher
        if encryption.is_aead:
            self._cipher = _AeadCipher(encryption, key.reveal())
            self.iv_octets, self.icv_octets, self.block_octets = _AEAD_IV_OCTETS, _AEAD_ICV_OCTETS, 1
        else:
            self._cipher = _CbcCipher(key.reveal(), integrity, integ_key.reveal())
            self.iv_octets = self.block_octets = _AES_BLOCK_OCTETS
            self.icv_octets = _HASHES[integrity][1]

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
            iv: `iv_octets` octets. For an AEAD any value that never comes twice under this key, such as a
                counter; for CBC random ones that no one can foresee.

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


def _check(encryption: Encryption, integrity: IntegId, key: Secret, integ_key: Secret) -> None:
    if encryption.key_bits not in _KEY_BITS[encryption.id]:
        raise LocalError(f"{encryption} is no algorithm")
    if encryption.is_aead != (integrity is IntegId.NONE):
        raise LocalError(f"{encryption} does not go with {integrity.name}")
    if len(key) != encryption.keying_octets or len(integ_key) != INTEG_KEY_OCTETS[integrity]:
        raise LocalError(f"keys of {len(key)} and {len(integ_key)} octets for {encryption}, {integrity.name}")


class _AeadCipher:
    """AES-GCM or ChaCha20-Poly1305; the nonce is the salt, then the IV (RFC 5282, section 4)."""

    __slots__ = ("_aead", "_salt")

    def __init__(self, encryption: Encryption, key_and_salt: bytes) -> None:
        key_octets = encryption.key_bits // 8
        aead = AESGCM if encryption.id is EncrId.ENCR_AES_GCM_16 else ChaCha20Poly1305
        self._aead: Final = aead(key_and_salt[:key_octets])
        self._salt: Final = key_and_salt[key_octets:]

    def seal(self, associated_data: bytes, plaintext: bytes, iv: bytes) -> bytes:
        return iv + self._aead.encrypt(self._salt + iv, plaintext, associated_data)

    def open(self, associated_data: bytes, content: bytes) -> bytes:
        nonce = self._salt + content[:_AEAD_IV_OCTETS]
        try:
            return self._aead.decrypt(nonce, content[_AEAD_IV_OCTETS:], associated_data)
        except InvalidTag as error:
            raise PeerError("an encrypted payload does not fit its checksum") from error


class _CbcCipher:
    """AES-CBC, then HMAC-SHA2 over the whole message (RFC 7296, section 3.14; RFC 4868)."""

    __slots__ = ("_aes", "_hash", "_icv_octets", "_integ_key")

    def __init__(self, key: bytes, integrity: IntegId, integ_key: bytes) -> None:
        self._aes: Final = AES(key)
        self._integ_key: Final = integ_key
        self._hash, self._icv_octets = _HASHES[integrity]

    def seal(self, associated_data: bytes, plaintext: bytes, iv: bytes) -> bytes:
        encryptor = Cipher(self._aes, CBC(iv)).encryptor()
        encrypted = iv + encryptor.update(plaintext) + encryptor.finalize()
        return encrypted + self._icv(associated_data + encrypted)

    def open(self, associated_data: bytes, content: bytes) -> bytes:
        encrypted, icv = content[: -self._icv_octets], content[-self._icv_octets :]
        if not hmac.compare_digest(self._icv(associated_data + encrypted), icv):
            raise PeerError("an encrypted payload does not fit its checksum")
        decryptor = Cipher(self._aes, CBC(encrypted[:_AES_BLOCK_OCTETS])).decryptor()
        return decryptor.update(encrypted[_AES_BLOCK_OCTETS:]) + decryptor.finalize()

    def _icv(self, data: bytes) -> bytes:
        return hmac.digest(self._integ_key, data, self._hash)[: self._icv_octets]
