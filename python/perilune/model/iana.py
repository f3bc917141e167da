"""Numbers that IANA assigns for IKEv2 and IPsec, under IANA's own names.

Registries: "Internet Key Exchange Version 2 (IKEv2) Parameters", "Protocol Numbers". A number that
arrives from the network and is not named here stays a plain integer.
"""

from __future__ import annotations

from enum import IntEnum


class ExchangeType(IntEnum):
    """Exchange types (RFC 7296, section 3.1; RFC 9242; RFC 9370)."""

    IKE_SA_INIT = 34
    IKE_AUTH = 35
    CREATE_CHILD_SA = 36
    INFORMATIONAL = 37
    IKE_INTERMEDIATE = 43
    IKE_FOLLOWUP_KE = 44


class PayloadType(IntEnum):
    """Payload types (RFC 7296, section 3.2; RFC 7383, section 2.5)."""

    NONE = 0
    SA = 33
    KE = 34
    ID_I = 35
    ID_R = 36
    CERT = 37
    CERTREQ = 38
    AUTH = 39
    NONCE = 40
    NOTIFY = 41
    DELETE = 42
    VENDOR = 43
    TS_I = 44
    TS_R = 45
    SK = 46
    CP = 47
    EAP = 48
    SKF = 53


class ProtocolId(IntEnum):
    """Security protocol identifiers (RFC 7296, section 3.3.1)."""

    NONE = 0
    IKE = 1
    AH = 2
    ESP = 3


class TransformType(IntEnum):
    """Transform types (RFC 7296, section 3.3.2; names of RFC 9370 and RFC 9827)."""

    ENCR = 1
    PRF = 2
    INTEG = 3
    KE = 4
    SN = 5
    ADDKE1 = 6
    ADDKE2 = 7
    ADDKE3 = 8
    ADDKE4 = 9
    ADDKE5 = 10
    ADDKE6 = 11
    ADDKE7 = 12


ADDITIONAL_KEY_EXCHANGES = tuple(type_ for type_ in TransformType if type_ >= TransformType.ADDKE1)
"""Transform types of the additional key exchanges, in the order in which these run (RFC 9370)."""


class EncrId(IntEnum):
    """Encryption algorithms, transform type 1."""

    ENCR_DES = 2
    ENCR_3DES = 3
    ENCR_RC5 = 4
    ENCR_IDEA = 5
    ENCR_CAST = 6
    ENCR_BLOWFISH = 7
    ENCR_NULL = 11
    ENCR_AES_CBC = 12
    ENCR_AES_CTR = 13
    ENCR_AES_CCM_8 = 14
    ENCR_AES_CCM_12 = 15
    ENCR_AES_CCM_16 = 16
    ENCR_AES_GCM_8 = 18
    ENCR_AES_GCM_12 = 19
    ENCR_AES_GCM_16 = 20
    ENCR_NULL_AUTH_AES_GMAC = 21
    ENCR_CAMELLIA_CBC = 23
    ENCR_CHACHA20_POLY1305 = 28
    ENCR_AES_CCM_8_IIV = 29
    ENCR_AES_GCM_16_IIV = 30
    ENCR_CHACHA20_POLY1305_IIV = 31
    PRIVATE_3IDEA = 0xFF08
    """IDEA with three keys. No document says what ENCR_3IDEA, 8, is (RFC 7296, section 3.3.2); this number
    is of those for private use."""


class PrfId(IntEnum):
    """Pseudorandom functions, transform type 2."""

    PRF_HMAC_SHA1 = 2
    PRF_AES128_XCBC = 4
    PRF_HMAC_SHA2_256 = 5
    PRF_HMAC_SHA2_384 = 6
    PRF_HMAC_SHA2_512 = 7
    PRF_AES128_CMAC = 8


class IntegId(IntEnum):
    """Integrity algorithms, transform type 3."""

    NONE = 0
    AUTH_HMAC_MD5_96 = 1
    AUTH_HMAC_SHA1_96 = 2
    AUTH_AES_XCBC_96 = 5
    AUTH_AES_CMAC_96 = 8
    AUTH_AES_128_GMAC = 9
    AUTH_AES_192_GMAC = 10
    AUTH_AES_256_GMAC = 11
    AUTH_HMAC_SHA2_256_128 = 12
    AUTH_HMAC_SHA2_384_192 = 13
    AUTH_HMAC_SHA2_512_256 = 14
    PRIVATE_HMAC_RIPEMD_160_96 = 0xFF08
    """HMAC-RIPEMD-160-96 (RFC 2857) has no number of IKEv2; this one is of those for private use."""


class KeId(IntEnum):
    """Key exchange methods, transform types 4 and 6 to 12."""

    NONE = 0
    MODP_2048 = 14
    MODP_3072 = 15
    MODP_4096 = 16
    MODP_6144 = 17
    MODP_8192 = 18
    ECP_256 = 19
    ECP_384 = 20
    ECP_521 = 21
    CURVE25519 = 31
    CURVE448 = 32
    ML_KEM_512 = 35
    ML_KEM_768 = 36
    ML_KEM_1024 = 37


class SnId(IntEnum):
    """Sequence numbers, transform type 5 (RFC 9827)."""

    SEQUENTIAL_32 = 0
    PARTIALLY_TRANSMITTED_64 = 1


class IdType(IntEnum):
    """Identification types (RFC 7296, section 3.5)."""

    ID_IPV4_ADDR = 1
    ID_FQDN = 2
    ID_RFC822_ADDR = 3
    ID_IPV6_ADDR = 5
    ID_DER_ASN1_DN = 9
    ID_DER_ASN1_GN = 10
    ID_KEY_ID = 11
    ID_NULL = 13
    """Nobody in particular (RFC 7619, section 2.2)."""


class AuthMethod(IntEnum):
    """Authentication methods (RFC 7296, section 3.8; RFC 4754, RFC 7619, RFC 7427)."""

    RSA_DIGITAL_SIGNATURE = 1
    SHARED_KEY_MIC = 2
    DSS_DIGITAL_SIGNATURE = 3
    ECDSA_256 = 9
    ECDSA_384 = 10
    ECDSA_521 = 11
    NULL = 13
    DIGITAL_SIGNATURE = 14


class HashId(IntEnum):
    """Hash algorithms of digital signatures (RFC 7427, section 7; RFC 8420, section 2)."""

    SHA1 = 1
    SHA2_256 = 2
    SHA2_384 = 3
    SHA2_512 = 4
    IDENTITY = 5
    """None: the signature algorithm takes a message of any length."""


class CertEncoding(IntEnum):
    """Certificate encodings (RFC 7296, section 3.6)."""

    PKCS7_WRAPPED_X509 = 1
    PGP = 2
    DNS_SIGNED_KEY = 3
    X509_SIGNATURE = 4
    KERBEROS_TOKENS = 6
    CRL = 7
    ARL = 8
    SPKI = 9
    X509_ATTRIBUTE = 10
    RAW_RSA_KEY = 11
    HASH_AND_URL_X509 = 12
    HASH_AND_URL_BUNDLE = 13


class TsType(IntEnum):
    """Traffic selector types (RFC 7296, section 3.13.1)."""

    TS_IPV4_ADDR_RANGE = 7
    TS_IPV6_ADDR_RANGE = 8


class CpType(IntEnum):
    """Configuration payload types (RFC 7296, section 3.15)."""

    CFG_REQUEST = 1
    CFG_REPLY = 2
    CFG_SET = 3
    CFG_ACK = 4


class IpCompId(IntEnum):
    """IP compression transforms (RFC 7296, section 2.22)."""

    IPCOMP_OUI = 1
    IPCOMP_DEFLATE = 2
    IPCOMP_LZS = 3
    IPCOMP_LZJH = 4


class NotifyType(IntEnum):
    """Notify message types (RFC 7296, section 3.10.1; RFC 7383, RFC 7427); below 16384 they report errors."""

    UNSUPPORTED_CRITICAL_PAYLOAD = 1
    INVALID_IKE_SPI = 4
    INVALID_MAJOR_VERSION = 5
    INVALID_SYNTAX = 7
    INVALID_MESSAGE_ID = 9
    INVALID_SPI = 11
    NO_PROPOSAL_CHOSEN = 14
    INVALID_KE_PAYLOAD = 17
    AUTHENTICATION_FAILED = 24
    SINGLE_PAIR_REQUIRED = 34
    NO_ADDITIONAL_SAS = 35
    INTERNAL_ADDRESS_FAILURE = 36
    FAILED_CP_REQUIRED = 37
    TS_UNACCEPTABLE = 38
    INVALID_SELECTORS = 39
    TEMPORARY_FAILURE = 43
    CHILD_SA_NOT_FOUND = 44
    STATE_NOT_FOUND = 47
    INITIAL_CONTACT = 16384
    SET_WINDOW_SIZE = 16385
    ADDITIONAL_TS_POSSIBLE = 16386
    IPCOMP_SUPPORTED = 16387
    NAT_DETECTION_SOURCE_IP = 16388
    NAT_DETECTION_DESTINATION_IP = 16389
    COOKIE = 16390
    USE_TRANSPORT_MODE = 16391
    HTTP_CERT_LOOKUP_SUPPORTED = 16392
    REKEY_SA = 16393
    ESP_TFC_PADDING_NOT_SUPPORTED = 16394
    NON_FIRST_FRAGMENTS_ALSO = 16395
    IKEV2_FRAGMENTATION_SUPPORTED = 16430
    SIGNATURE_HASH_ALGORITHMS = 16431
    INTERMEDIATE_EXCHANGE_SUPPORTED = 16438
    ADDITIONAL_KEY_EXCHANGE = 16441
    SUPPORTED_AUTH_METHODS = 16443
    USE_BEET_MODE = 40961
    """BEET mode instead of tunnel mode: strongSwan's number, of those for private use."""

    @property
    def is_error(self) -> bool:
        """Whether this type reports an error rather than a status."""
        return self < FIRST_STATUS_NOTIFY


FIRST_STATUS_NOTIFY = 16384
"""Notify types from here on are status; those below are errors (RFC 7296, section 3.10.1)."""
