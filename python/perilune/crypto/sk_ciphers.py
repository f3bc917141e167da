"""Ciphers of IKE's own messages: combined modes, block ciphers in CBC mode, and AES in counter mode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, GCM

from perilune.crypto.integrity import IntegrityKey
from perilune.model.errors import PeerError
from perilune.model.iana import EncrId
from perilune.model.proposal import Encryption

_COUNTER_IV_OCTETS: Final = 8
_FIRST_BLOCK: Final = (1).to_bytes(4)
_ICV_OCTETS: Final = {
    EncrId.ENCR_AES_CCM_8: 8,
    EncrId.ENCR_AES_CCM_12: 12,
    EncrId.ENCR_AES_GCM_12: 12,
}
"""ICVs of combined modes that are not 16 octets long."""


class MessageCipher(ABC):
    """Encrypts and authenticates messages of one direction."""

    __slots__ = ("block_octets", "icv_octets", "iv_octets")

    iv_octets: int
    icv_octets: int
    block_octets: int
    """What the plaintext with its padding is a multiple of; 1 where it need not be."""

    @abstractmethod
    def seal(self, associated_data: bytes, plaintext: bytes, iv: bytes) -> bytes:
        """Return IV, ciphertext and ICV."""

    @abstractmethod
    def open(self, associated_data: bytes, content: bytes) -> bytes:
        """Return the plaintext of IV, ciphertext and ICV.

        Raises:
            PeerError: The ICV is wrong.
        """


def combined_cipher(encryption: Encryption, key_and_salt: bytes) -> MessageCipher:
    """Return a combined mode; the nonce is the salt, then the IV (RFC 5282, section 4)."""
    octets = encryption.key_bits // 8
    return _CombinedCipher(encryption.id, key_and_salt[:octets], key_and_salt[octets:])


def separate_cipher(encryption: Encryption, key: bytes, integrity: IntegrityKey) -> MessageCipher:
    """Return a cipher and what protects its output together with the rest of the message."""
    if encryption.id is EncrId.ENCR_AES_CTR:
        octets = encryption.key_bits // 8
        return _CounterCipher(key[:octets], key[octets:], integrity)
    return _CbcCipher(_block_cipher(encryption.id, key), integrity)


def _block_cipher(id_: EncrId, key: bytes) -> AES | Camellia | TripleDES:
    match id_:
        case EncrId.ENCR_3DES:
            return TripleDES(key)
        case EncrId.ENCR_CAMELLIA_CBC:
            return Camellia(key)
        case _:
            return AES(key)


class _CombinedCipher(MessageCipher):
    __slots__ = ("_aead", "_salt")

    def __init__(self, id_: EncrId, key: bytes, salt: bytes) -> None:
        self.iv_octets, self.block_octets = _COUNTER_IV_OCTETS, 1
        self.icv_octets = _ICV_OCTETS.get(id_, 16)
        self._aead: Final = _library_aead(id_, key, self.icv_octets)
        self._salt: Final = salt

    def seal(self, associated_data: bytes, plaintext: bytes, iv: bytes) -> bytes:
        return iv + self._aead.encrypt(self._salt + iv, plaintext, associated_data)

    def open(self, associated_data: bytes, content: bytes) -> bytes:
        nonce = self._salt + content[: self.iv_octets]
        try:
            return self._aead.decrypt(nonce, content[self.iv_octets :], associated_data)
        except InvalidTag as error:
            raise PeerError("an encrypted payload does not fit its checksum") from error


def _library_aead(id_: EncrId, key: bytes, icv_octets: int) -> AESCCM | AESGCM | ChaCha20Poly1305 | _ShortGcm:
    match id_:
        case EncrId.ENCR_AES_CCM_8 | EncrId.ENCR_AES_CCM_12 | EncrId.ENCR_AES_CCM_16:
            return AESCCM(key, tag_length=icv_octets)
        case EncrId.ENCR_AES_GCM_12:
            return _ShortGcm(key, icv_octets)
        case EncrId.ENCR_AES_GCM_16:
            return AESGCM(key)
        case _:
            return ChaCha20Poly1305(key)


class _ShortGcm:
    """AES-GCM with a short ICV, with the methods of the library's other combined modes."""

    __slots__ = ("_aes", "_icv_octets")

    def __init__(self, key: bytes, icv_octets: int) -> None:
        self._aes: Final = AES(key)
        self._icv_octets: Final = icv_octets

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        encryptor = Cipher(self._aes, GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data)
        encrypted = encryptor.update(data) + encryptor.finalize()
        return encrypted + encryptor.tag[: self._icv_octets]

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        encrypted, icv = data[: -self._icv_octets], data[-self._icv_octets :]
        mode = GCM(nonce, icv, min_tag_length=self._icv_octets)
        decryptor = Cipher(self._aes, mode).decryptor()
        decryptor.authenticate_additional_data(associated_data)
        return decryptor.update(encrypted) + decryptor.finalize()


class _CbcCipher(MessageCipher):
    """A block cipher in CBC mode, then a MAC over the whole message."""

    __slots__ = ("_cipher", "_integrity")

    def __init__(self, cipher: AES | Camellia | TripleDES, integrity: IntegrityKey) -> None:
        self.iv_octets = self.block_octets = cipher.block_size // 8
        self.icv_octets = integrity.icv_octets
        self._cipher: Final = cipher
        self._integrity: Final = integrity

    def seal(self, associated_data: bytes, plaintext: bytes, iv: bytes) -> bytes:
        encryptor = Cipher(self._cipher, CBC(iv)).encryptor()
        encrypted = iv + encryptor.update(plaintext) + encryptor.finalize()
        return encrypted + self._integrity.icv(associated_data + encrypted)

    def open(self, associated_data: bytes, content: bytes) -> bytes:
        encrypted, icv = content[: -self.icv_octets], content[-self.icv_octets :]
        self._integrity.check(associated_data + encrypted, icv)
        decryptor = Cipher(self._cipher, CBC(encrypted[: self.iv_octets])).decryptor()
        return decryptor.update(encrypted[self.iv_octets :]) + decryptor.finalize()


class _CounterCipher(MessageCipher):
    """AES in counter mode, then a MAC over the whole message (RFC 5930, section 2)."""

    __slots__ = ("_aes", "_integrity", "_nonce")

    def __init__(self, key: bytes, nonce: bytes, integrity: IntegrityKey) -> None:
        self.iv_octets, self.block_octets = _COUNTER_IV_OCTETS, 1
        self.icv_octets = integrity.icv_octets
        self._aes: Final = AES(key)
        self._nonce: Final = nonce
        self._integrity: Final = integrity

    def seal(self, associated_data: bytes, plaintext: bytes, iv: bytes) -> bytes:
        encrypted = iv + self._apply(iv, plaintext)
        return encrypted + self._integrity.icv(associated_data + encrypted)

    def open(self, associated_data: bytes, content: bytes) -> bytes:
        encrypted, icv = content[: -self.icv_octets], content[-self.icv_octets :]
        self._integrity.check(associated_data + encrypted, icv)
        return self._apply(encrypted[: self.iv_octets], encrypted[self.iv_octets :])

    def _apply(self, iv: bytes, text: bytes) -> bytes:
        """Add the key stream: encrypting and decrypting are one (RFC 3686, section 2.1)."""
        stream = Cipher(self._aes, CTR(self._nonce + iv + _FIRST_BLOCK)).encryptor()
        return stream.update(text) + stream.finalize()
