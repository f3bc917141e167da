"""How the ends of a connection prove who they are, and the files of their keys."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from perilune.config.authentication import AUTHENTICATION, Plain
from perilune.config.files import SystemFiles
from perilune.config.load import load, load_text
from perilune.config.settings import Settings
from perilune.crypto.keys import KeyKind
from perilune.crypto.signature_rules import SchemeRule
from perilune.crypto.signature_schemes import RsaPadding
from perilune.databases.proof import KnownKeys, NoProof, OwnKey, SharedKey
from perilune.model.errors import ConfigError
from perilune.model.iana import HashId
from support.keys import key_pair, private_pem, public_pem

MOON, SUN = key_pair("P-256"), key_pair("RSA", 1)
CONNECTION = """connections {{
  gw {{
    remote_addrs = 192.0.2.2
    local {{ {local}
    }}
    remote {{ {remote}
    }}
    children {{ net {{ }} }}
  }}
}}
{more}
"""


def text_of(
    local: str = "pubkeys = moon.pem", remote: str = "pubkeys = sun.pem\n id = sun", more: str = ""
) -> str:
    return CONNECTION.format(local=local, remote=remote, more=more)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("pubkey", "private", "ecdsa"):
        (tmp_path / name).mkdir()
    (tmp_path / "pubkey/moon.pem").write_bytes(public_pem(MOON))
    (tmp_path / "pubkey/sun.pem").write_bytes(public_pem(SUN))
    (tmp_path / "private/moonKey.pem").write_bytes(private_pem(MOON))
    (tmp_path / "private/README").write_text("no key at all")
    return tmp_path


def read(directory: Path, text: str) -> Settings:
    file = directory / "swanctl.conf"
    file.write_text(text)
    return load(file)


def mistake(directory: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        read(directory, text)
    return str(error.value).replace(str(directory), "…")


def test_keys_of_both_ends(directory: Path) -> None:
    (entry,) = read(directory, text_of()).connections
    assert entry.local_proof == OwnKey(MOON)
    assert entry.remote_proof == KnownKeys((SUN.public,))


def test_two_equal_files_give_equal_settings(directory: Path) -> None:
    assert read(directory, text_of()) == read(directory, text_of())


def test_path_may_be_absolute_also_in_text_that_is_no_file(directory: Path) -> None:
    text = text_of(
        "auth = psk", f"pubkeys = {directory}/pubkey/sun.pem\n id = sun", "secrets { ike { secret = x } }"
    )
    (entry,) = load_text(text).connections
    assert (entry.local_proof, entry.remote_proof) == (SharedKey(), KnownKeys((SUN.public,)))


def test_words_of_auth_limit_keys_and_schemes(directory: Path) -> None:
    remote = "auth = ike:rsa/pss-2048-sha512-sha256\n pubkeys = sun.pem\n id = sun"
    (entry,) = read(directory, text_of(remote=remote)).connections
    rule = SchemeRule(frozenset({KeyKind.RSA}), (RsaPadding.PSS,), 2048, (HashId.SHA2_512, HashId.SHA2_256))
    assert entry.remote_proof == KnownKeys((SUN.public,), (rule,))


def test_several_kinds_each_with_its_own_limits() -> None:
    rules = AUTHENTICATION.read("rsa-3072-sha512-ecdsa-384-ed25519")
    assert not isinstance(rules, Plain)
    assert [(sorted(kind.value for kind in rule.kinds), rule.least_bits, rule.hashes) for rule in rules] == [
        (["RSA"], 3072, (HashId.SHA2_512,)),
        (["ECDSA"], 384, ()),
        (["Ed25519"], 0, ()),
    ]


@pytest.mark.parametrize(
    "text",
    ["pubkeys", "rsa-", "sha256", "ed25519-sha256", "rsa-sha257", "psk-sha256", "rsa-123456", "eap-md5", ""],
)
def test_words_that_mean_nothing(text: str) -> None:
    with pytest.raises(ConfigError):
        AUTHENTICATION.read(text)


@pytest.mark.parametrize("kind", ["P-384", "Ed448", "ML-DSA-65"])
def test_key_that_is_encrypted(directory: Path, kind: str) -> None:
    key = key_pair(kind)
    (directory / "pubkey/moon.pem").write_bytes(public_pem(key))
    (directory / "ecdsa/moon.pem").write_bytes(private_pem(key, "open sesame"))
    more = 'secrets { ecdsa-moon {\n file = moon.pem\n secret = "open sesame"\n} }'
    (entry,) = read(directory, text_of(more=more)).connections
    assert entry.local_proof == OwnKey(key)
    assert "sesame" not in repr(entry)


def test_key_that_is_encrypted_without_its_secret(directory: Path) -> None:
    (directory / "private/moonKey.pem").write_bytes(private_pem(MOON, "open sesame"))
    assert mistake(directory, text_of()) == (
        "…/swanctl.conf:4: connections.gw.local.pubkeys: the private key of "
        f"{MOON.public} is in none of private/, rsa/, ecdsa/, pkcs8/; "
        "…/private/README: this is no private key in PEM or DER, of PKCS#1, PKCS#8 or SEC 1; "
        "…/private/moonKey.pem: the key is encrypted, and there is no secret for it"
    )


def test_secret_that_does_not_open_the_key(directory: Path) -> None:
    (directory / "private/moonKey.pem").write_bytes(private_pem(MOON, "open sesame"))
    more = "secrets {\n private-moon {\n file = moonKey.pem\n secret = wrong\n } }"
    assert mistake(directory, text_of(more=more)).splitlines()[-1] == (
        "…/swanctl.conf:14: secrets.private-moon.file:"
        " …/private/moonKey.pem: the secret does not open the key"
    )


def test_what_is_no_file_holds_nobody_up(directory: Path) -> None:
    os.mkfifo(directory / "private/fifo")
    (directory / "private/loop").symlink_to("loop")
    (directory / "private/sub").mkdir()
    (entry,) = read(directory, text_of()).connections
    assert entry.local_proof == OwnKey(MOON)
    (directory / "private/moonKey.pem").unlink()
    told = mistake(directory, text_of())
    assert "…/private/fifo: a FIFO is not read" in told
    assert "…/private/loop: too many levels of symbolic links" in told
    os.mkfifo(directory / "pubkey/fifo")
    assert "pubkey/fifo: a FIFO is not read" in mistake(directory, text_of(remote="pubkeys = fifo\n id = s"))


def test_private_key_is_read_once_however_many_connections_there_are(directory: Path) -> None:
    counts: Counter[str] = Counter()

    class Counting(SystemFiles):
        def read(self, file: Path) -> bytes:
            counts[file.name] += 1
            return super().read(file)

    text = text_of() + text_of().replace("gw {", "gw2 {")
    (directory / "swanctl.conf").write_text(text)
    assert len(load(directory / "swanctl.conf", Counting()).connections) == 2
    assert (counts["moonKey.pem"], counts["README"]) == (1, 1)


def test_nothing_of_a_secret_is_quoted_where_lines_ran_together(directory: Path) -> None:
    told = mistake(directory, text_of(more="secrets { private {\n file = x secret = sesame\n } }"))
    assert "sesame" not in told


MISTAKES = [
    (text_of("auth = pubkey"), "local: 'pubkeys' is missing: certificates are not supported yet"),
    (
        text_of(remote="pubkeys = venus.pem\n id = v"),
        "remote.pubkeys: …/pubkey/venus.pem: no such file or directory",
    ),
    (text_of(remote="pubkeys = ../private/README\n id = s"), "this is no public key in PEM or DER"),
    (text_of("pubkeys = sun.pem"), f"local.pubkeys: the private key of {SUN.public} is in none of"),
    (text_of("auth = rsa\n pubkeys = moon.pem"), f"moon.pem is {MOON.public}, which 'auth' does not take"),
    (text_of("auth = ecdsa-sha1\n pubkeys = moon.pem"), f"moon.pem is {MOON.public}, which 'auth' does not"),
    (text_of("auth = psk\n pubkeys = moon.pem"), "local.pubkeys: 'auth = psk' makes no use of keys"),
    (text_of("auth = eap-tls"), "local.auth: 'eap-tls' is not supported yet"),
    (text_of("auth = pubkye"), "'pubkye' has no place here (did you mean 'pubkey'?)"),
    (text_of(remote="auth = null\n id = sun"), "remote.id: who proves nothing may say anything"),
    (
        text_of(more="secrets { private { file = none.pem } }"),
        "secrets.private.file: …/private/none.pem: no such",
    ),
    (text_of(more="secrets { rsa { secret = x } }"), "secrets.rsa: 'file' is missing"),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistakes(directory: Path, text: str, expected: str) -> None:
    assert expected in mistake(directory, text)


def test_key_that_is_too_short(directory: Path) -> None:
    public = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - which is the point
    octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    (directory / "pubkey/sun.pem").write_bytes(octets)
    assert "an RSA key has 2048 to 16384 bits, not 1024" in mistake(directory, text_of())


# covers R7619-2-1
def test_no_proof_only_where_it_is_asked_for_by_name_and_with_a_warning(directory: Path) -> None:
    settings = read(directory, text_of("auth = null", "auth = null"))
    (entry,) = settings.connections
    assert (entry.local_proof, entry.remote_proof) == (NoProof(), NoProof())
    told = "\n".join(settings.warnings)
    assert "we prove nothing to the peer" in told
    assert "anybody may be this peer" in told
    assert "may take these addresses" not in told


def test_network_for_nobody_in_particular_is_warned_of(directory: Path) -> None:
    text = text_of(remote="auth = null").replace("net { }", "net {\n remote_ts = 10.2.0.0/16\n }")
    assert any("anybody may take these addresses" in warning for warning in read(directory, text).warnings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            text_of("auth = rsa-sha1\n pubkeys = moon.pem").replace("moon.pem", "sun.pem", 1),
            "SHA-1 is broken",
        ),
        (text_of(remote="pubkeys = sun.pem"), "whoever has one of 'pubkeys' may give any name"),
        (text_of("pubkeys = moon.pem, sun.pem"), "only the first public key is used"),
    ],
)
def test_warnings(directory: Path, text: str, expected: str) -> None:
    (directory / "private/sunKey.pem").write_bytes(private_pem(SUN))
    assert any(expected in warning for warning in read(directory, text).warnings)


def test_keys_need_no_shared_secret(directory: Path) -> None:
    assert not any("secret" in warning for warning in read(directory, text_of()).warnings)
