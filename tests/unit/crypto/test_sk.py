from __future__ import annotations

import hmac
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from perilune.crypto.sk import SkCipher
from perilune.model.algorithms import ENCRYPTION, INTEGRITY
from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import EncrId, IntegId, NotifyType
from perilune.model.proposal import INTEG_KEY_OCTETS, Encryption
from perilune.model.secret import Secret
from support.vectors import Json, printed, shared_rfc, wycheproof

CHACHA = Encryption(EncrId.ENCR_CHACHA20_POLY1305, 256)
ALGORITHMS = [
    (encryption, integrity)
    for id_, known in ENCRYPTION.items()
    for encryption in (Encryption(id_, bits) for bits in sorted(known.key_bits))
    for integrity in INTEGRITY
    if known.in_ike and INTEGRITY[integrity].in_ike and encryption.is_aead == (integrity is IntegId.NONE)
]
AAD = bytes(range(32))


def _cipher(encryption: Encryption, integrity: IntegId = IntegId.NONE) -> SkCipher:
    key = Secret(bytes(range(encryption.keying_octets)))
    return SkCipher(encryption, integrity, key, Secret(b"\x99" * INTEG_KEY_OCTETS[integrity]))


def _refused(cipher: SkCipher, associated_data: bytes, content: bytes) -> NotifyType | None:
    with pytest.raises(PeerError) as refusal:
        cipher.open(associated_data, content)
    return refusal.value.notify


@pytest.mark.parametrize(("encryption", "integrity"), ALGORITHMS)
def test_what_is_sealed_can_be_opened(encryption: Encryption, integrity: IntegId) -> None:
    cipher = _cipher(encryption, integrity)
    iv = b"\x07" * cipher.iv_octets
    for octets in (0, 1, 14, 15, 16, 17, 31, 1000):
        content = cipher.seal(AAD, b"\xaa" * octets, iv)
        assert len(content) == cipher.sealed_octets(octets)
        assert content.startswith(iv)
        assert (len(content) - cipher.iv_octets - cipher.icv_octets) % cipher.block_octets == 0
        assert cipher.open(AAD, content) == b"\xaa" * octets


@pytest.mark.parametrize(("encryption", "integrity"), ALGORITHMS)
def test_every_changed_octet_is_noticed_and_not_answered(encryption: Encryption, integrity: IntegId) -> None:
    cipher = _cipher(encryption, integrity)
    content = cipher.seal(AAD, b"payloads", b"\x07" * cipher.iv_octets)
    for position in range(len(content)):
        changed = content[:position] + bytes((content[position] ^ 0x40,)) + content[position + 1 :]
        assert _refused(cipher, AAD, changed) is None
    for position in range(len(AAD)):
        changed = AAD[:position] + bytes((AAD[position] ^ 0x40,)) + AAD[position + 1 :]
        assert _refused(cipher, changed, content) is None


@pytest.mark.parametrize(("encryption", "integrity"), ALGORITHMS)
def test_every_cut_is_noticed(encryption: Encryption, integrity: IntegId) -> None:
    cipher = _cipher(encryption, integrity)
    content = cipher.seal(AAD, b"payloads", b"\x07" * cipher.iv_octets)
    for octets in range(len(content)):
        assert _refused(cipher, AAD, content[:octets]) is None
    assert _refused(cipher, AAD, content + b"\0") is None


@pytest.mark.parametrize(("encryption", "integrity"), ALGORITHMS)
def test_largest_plaintext(encryption: Encryption, integrity: IntegId) -> None:
    cipher = _cipher(encryption, integrity)
    for room in range(64, 200):
        octets = cipher.plaintext_octets(room)
        assert cipher.sealed_octets(octets) <= room < cipher.sealed_octets(octets + 1)


##= https://www.rfc-editor.org/rfc/rfc7296#section-3.14
##= type=test
##% The sender SHOULD
##% set the Pad Length to the minimum value that makes the combination
##% of the payloads, the Padding, and the Pad Length a multiple of the
##% block size, but the recipient MUST accept any length that results
##% in proper alignment.
def test_any_padding_is_accepted() -> None:
    encryption, integrity = Encryption(EncrId.ENCR_AES_CBC, 128), IntegId.AUTH_HMAC_SHA2_256_128
    cipher = _cipher(encryption, integrity)
    assert cipher.sealed_octets(15) == 16 + 16 + 16
    assert cipher.sealed_octets(16) == 16 + 32 + 16
    for plaintext in (b"p" * 16 + b"\xee" * 255 + b"\xff", b"\xee" * 15 + b"\x0f", b"p" * 15 + b"\0"):
        assert _with_own_padding(cipher, plaintext) == plaintext[: -1 - plaintext[-1]]


def _with_own_padding(cipher: SkCipher, plaintext: bytes) -> bytes:
    """Open what a sender seals who chose its padding: `plaintext` ends with Padding and Pad Length."""
    iv = b"\x07" * 16
    encryptor = Cipher(AES(bytes(range(16))), CBC(iv)).encryptor()
    encrypted = iv + encryptor.update(plaintext) + encryptor.finalize()
    icv = hmac.new(b"\x99" * 32, AAD + encrypted, sha256).digest()[:16]
    return cipher.open(AAD, encrypted + icv)


@pytest.mark.parametrize("plaintext", [b"\x10" * 16, b"\xff" * 32])
def test_padding_longer_than_the_plaintext_is_the_peer_s_fault(plaintext: bytes) -> None:
    cipher = _cipher(Encryption(EncrId.ENCR_AES_CBC, 128), IntegId.AUTH_HMAC_SHA2_256_128)
    with pytest.raises(PeerError) as refusal:
        _with_own_padding(cipher, plaintext)
    assert refusal.value.notify is NotifyType.INVALID_SYNTAX


def test_message_of_rfc_7634() -> None:
    (vector,) = printed("rfc7634_ikev2_message.json")["vectors"]
    octets = {name: bytes.fromhex(value) for name, value in vector.items()}
    cipher = SkCipher(CHACHA, IntegId.NONE, Secret(octets["key"] + octets["salt"]), Secret(b""))
    content = octets["encrypted_payload"][4:]
    assert cipher.seal(octets["aad"], octets["notify_payload"], octets["iv"]) == content
    assert cipher.open(octets["aad"], content) == octets["notify_payload"]


def _check_aead(encryption: Encryption, test: Json) -> None:
    """Open a vector's ciphertext: its nonce is our salt and IV, its last octet our Pad Length."""
    names = ("key", "nonce", "aad", "plaintext", "ciphertext", "tag")
    key, nonce, aad, plaintext, ciphertext, tag = (bytes.fromhex(test[name]) for name in names)
    cipher = SkCipher(encryption, IntegId.NONE, Secret(key + nonce[:4]), Secret(b""))
    content = nonce[4:] + ciphertext + tag
    end = len(plaintext) - 1 - plaintext[-1] if plaintext else -1
    if test.get("result", "valid") == "invalid" or not plaintext:
        assert _refused(cipher, aad, content) is None
    elif end < 0:
        assert _refused(cipher, aad, content) is NotifyType.INVALID_SYNTAX
    else:
        assert cipher.open(aad, content) == plaintext[:end]
    if test.get("result", "valid") == "valid" and plaintext.endswith(b"\0"):
        assert cipher.seal(aad, plaintext[:-1], nonce[4:]) == content


@pytest.mark.parametrize("vector", shared_rfc("rfc8439_chacha20_poly1305"), ids=lambda v: v["id"])
def test_rfc_8439(vector: Json) -> None:
    _check_aead(CHACHA, vector)


@pytest.mark.parametrize(
    ("id_", "test"),
    [
        (id_, test)
        for id_, name in (
            (EncrId.ENCR_AES_GCM_16, "aes_gcm_test"),
            (EncrId.ENCR_CHACHA20_POLY1305, "chacha20_poly1305_test"),
        )
        for test in wycheproof(name)
        if test["ivSize"] == 96 and test["tagSize"] == 128
    ],
    ids=lambda value: str(value["tcId"]) if isinstance(value, dict) else value.name,
)
def test_wycheproof(id_: EncrId, test: Json) -> None:
    vector = {**test, "nonce": test["iv"], "plaintext": test["msg"], "ciphertext": test["ct"]}
    _check_aead(Encryption(id_, test["keySize"]), vector)


@pytest.mark.parametrize(
    "vector", printed("transforms.json")["aes_ccm"]["vectors"], ids=lambda vector: vector["tag"]
)
def test_ccm_of_wycheproof(vector: Json) -> None:
    octets = {name: bytes.fromhex(value) for name, value in vector.items() if isinstance(value, str)}
    key, salt, iv = octets["key"], octets["nonce"][:3], octets["nonce"][3:]
    encryption = Encryption(EncrId.ENCR_AES_CCM_16, len(key) * 8)
    cipher = SkCipher(encryption, IntegId.NONE, Secret(key + salt), Secret(b""))
    text, content = octets["text"], iv + octets["encrypted"] + octets["tag"]
    if not vector["valid"] or not text:
        assert _refused(cipher, octets["aad"], content) is None
    elif text[-1] >= len(text):
        assert _refused(cipher, octets["aad"], content) is NotifyType.INVALID_SYNTAX
    else:
        assert cipher.open(octets["aad"], content) == text[: -1 - text[-1]]


@pytest.mark.parametrize(("encryption", "integrity"), ALGORITHMS)
@pytest.mark.parametrize("difference", [-1, 1])
def test_wrong_initialization_vector(encryption: Encryption, integrity: IntegId, difference: int) -> None:
    cipher = _cipher(encryption, integrity)
    with pytest.raises(LocalError):
        cipher.seal(AAD, b"", bytes(cipher.iv_octets + difference))


@pytest.mark.parametrize(
    ("encryption", "integrity", "key_octets", "integ_octets"),
    [
        (CHACHA, IntegId.NONE, 32, 0),
        (CHACHA, IntegId.NONE, 36, 32),
        (CHACHA, IntegId.AUTH_HMAC_SHA2_256_128, 36, 32),
        (Encryption(EncrId.ENCR_CHACHA20_POLY1305, 128), IntegId.NONE, 20, 0),
        (Encryption(EncrId.ENCR_AES_CBC, 128), IntegId.NONE, 16, 0),
        (Encryption(EncrId.ENCR_AES_CBC, 128), IntegId.AUTH_HMAC_SHA2_256_128, 16, 16),
        (Encryption(EncrId.ENCR_AES_GCM_16, 64), IntegId.NONE, 12, 0),
        (Encryption(EncrId.ENCR_AES_GCM_8, 128), IntegId.NONE, 20, 0),
        (Encryption(EncrId.ENCR_AES_GCM_16_IIV, 128), IntegId.NONE, 20, 0),
        (Encryption(EncrId.ENCR_DES, 64), IntegId.AUTH_HMAC_SHA1_96, 8, 20),
        (Encryption(EncrId.ENCR_AES_CBC, 128), IntegId.AUTH_HMAC_MD5_96, 16, 16),
        (Encryption(EncrId.ENCR_AES_CBC, 128), IntegId.AUTH_AES_128_GMAC, 16, 20),
    ],
)
def test_what_does_not_go_together(
    encryption: Encryption, integrity: IntegId, key_octets: int, integ_octets: int
) -> None:
    with pytest.raises(LocalError):
        SkCipher(encryption, integrity, Secret(bytes(key_octets)), Secret(bytes(integ_octets)))
