"""Keys in the form in which Wireshark reads them, so that a capture can be opened.

Two files in one directory, named and written as Wireshark's own tables are:

    ikev2_decryption_table   SPIs, SK_e and SK_a of both directions, names of the algorithms
    esp_sa                   protocol, addresses, SPI, algorithms, keys

Copied into Wireshark's configuration directory (`~/.config/wireshark`), they open IKE and ESP at once; for
ESP, "Attempt to detect/decode encrypted ESP payloads" has to be on.
"""

from __future__ import annotations

import os
from pathlib import Path as FilePath

from perilune.crypto.ike_keys import IkeKeys
from perilune.databases.sad import Direction, SadEntry
from perilune.model.errors import ResourceError
from perilune.model.iana import EncrId, IntegId, SnId
from perilune.model.proposal import IkeSuite
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi, format_ike_spi, format_spi

IKE_TABLE = "ikev2_decryption_table"
ESP_TABLE = "esp_sa"

_IKE_INTEGRITY = {
    IntegId.NONE: "NONE [RFC4306]",
    IntegId.AUTH_HMAC_SHA1_96: "HMAC_SHA1_96 [RFC2404]",
    IntegId.AUTH_HMAC_SHA2_256_128: "HMAC_SHA2_256_128 [RFC4868]",
    IntegId.AUTH_HMAC_SHA2_384_192: "HMAC_SHA2_384_192 [RFC4868]",
    IntegId.AUTH_HMAC_SHA2_512_256: "HMAC_SHA2_512_256 [RFC4868]",
}
_IKE_ENCRYPTION = {
    EncrId.ENCR_3DES: "3DES [RFC2451]",
    EncrId.ENCR_AES_CBC: "AES-CBC-{} [RFC3602]",
    EncrId.ENCR_AES_CCM_8: "AES-CCM-{} with 8 octet ICV [RFC5282]",
    EncrId.ENCR_AES_CCM_12: "AES-CCM-{} with 12 octet ICV [RFC5282]",
    EncrId.ENCR_AES_CCM_16: "AES-CCM-{} with 16 octet ICV [RFC5282]",
    EncrId.ENCR_AES_CTR: "AES-CTR-{} [RFC5930]",
    EncrId.ENCR_AES_GCM_12: "AES-GCM-{} with 12 octet ICV [RFC5282]",
    EncrId.ENCR_AES_GCM_16: "AES-GCM-{} with 16 octet ICV [RFC5282]",
}
"""With a place for the length of the key in bits."""

_ESP_INTEGRITY = {
    IntegId.NONE: "NULL",
    IntegId.AUTH_HMAC_MD5_96: "HMAC-MD5-96 [RFC2403]",
    IntegId.AUTH_HMAC_SHA1_96: "HMAC-SHA-1-96 [RFC2404]",
    IntegId.AUTH_HMAC_SHA2_256_128: "HMAC-SHA-256-128 [RFC4868]",
    IntegId.AUTH_HMAC_SHA2_384_192: "HMAC-SHA-384-192 [RFC4868]",
    IntegId.AUTH_HMAC_SHA2_512_256: "HMAC-SHA-512-256 [RFC4868]",
    IntegId.PRIVATE_HMAC_RIPEMD_160_96: "MAC-RIPEMD-160-96 [RFC2857]",
}
_ESP_ENCRYPTION = {
    EncrId.ENCR_3DES: "TripleDES-CBC [RFC2451]",
    EncrId.ENCR_AES_CBC: "AES-CBC [RFC3602]",
    EncrId.ENCR_AES_CTR: "AES-CTR [RFC3686]",
    EncrId.ENCR_AES_GCM_8: "AES-GCM with 8 octet ICV [RFC4106]",
    EncrId.ENCR_AES_GCM_12: "AES-GCM with 12 octet ICV [RFC4106]",
    EncrId.ENCR_AES_GCM_16: "AES-GCM with 16 octet ICV [RFC4106]",
    EncrId.ENCR_BLOWFISH: "BLOWFISH-CBC [RFC2451]",
    EncrId.ENCR_CAST: "CAST5-CBC [RFC2144]",
    EncrId.ENCR_DES: "DES-CBC [RFC2405]",
    EncrId.ENCR_NULL: "NULL",
}


class KeyLog:
    """The two files; each is appended to, and only its owner may read it.

    Args:
        directory: Where they are; made if it is missing.

    Raises:
        ResourceError: From every method: a file cannot be written.
    """

    def __init__(self, directory: FilePath) -> None:
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(
                f"cannot make {directory} for the key log: {error.strerror or error}"
            ) from error
        for name in (IKE_TABLE, ESP_TABLE):
            self._append(name, "")

    def add_ike_sa(self, spi_i: IkeSpi, spi_r: IkeSpi, suite: IkeSuite, keys: IkeKeys) -> None:
        """Write the keys of an IKE SA."""
        self._append(IKE_TABLE, ike_line(spi_i, spi_r, suite, keys))

    def add_esp_sa(self, entry: SadEntry) -> None:
        """Write the keys of an ESP SA."""
        self._append(ESP_TABLE, esp_line(entry))

    def _append(self, name: str, line: str) -> None:
        path = self._directory / name
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(line)
        except OSError as error:
            raise ResourceError(f"cannot write {path}: {error.strerror or error}") from error


def ike_line(spi_i: IkeSpi, spi_r: IkeSpi, suite: IkeSuite, keys: IkeKeys) -> str:
    """Return a line of `ikev2_decryption_table`; what Wireshark cannot open becomes a comment."""
    spis = f"{format_ike_spi(spi_i)},{format_ike_spi(spi_r)}"
    cipher, mac = _IKE_ENCRYPTION.get(suite.encryption.id), _IKE_INTEGRITY.get(suite.integrity)
    if cipher is None or mac is None:
        return f"# {spis}: Wireshark does not know {suite}\n"
    encryption = f'{_hex(keys.sk_ei)},{_hex(keys.sk_er)},"{cipher.format(suite.encryption.key_bits)}"'
    integrity = f'{_hex(keys.sk_ai)},{_hex(keys.sk_ar)},"{mac}"'
    return f"{spis},{encryption},{integrity}\n"


def esp_line(entry: SadEntry) -> str:
    """Return a line of `esp_sa`; what Wireshark cannot open becomes a comment."""
    suite, path = entry.suite, entry.path
    ends = (path.remote.address, path.local.address)
    source, destination = ends if entry.direction is Direction.INBOUND else ends[::-1]
    cipher, mac = _ESP_ENCRYPTION.get(suite.encryption.id), _ESP_INTEGRITY.get(suite.integrity)
    if cipher is None or mac is None:
        flow = f"{source} to {destination} {format_spi(entry.spi)}"
        return f"# {flow}: Wireshark does not know {suite}\n"
    fields = [f"IPv{source.version}", str(source), str(destination), format_spi(entry.spi)]
    fields += [cipher, f"0x{_hex(entry.keys.encryption)}", mac]
    integrity = _hex(entry.keys.integrity)
    fields.append(f"0x{integrity}" if integrity else "")
    if suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64:
        fields.append("64-bit")
    return ",".join(f'"{field}"' for field in fields) + "\n"


def _hex(key: Secret) -> str:
    return key.reveal().hex()
