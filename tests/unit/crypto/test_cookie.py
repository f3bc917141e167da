from __future__ import annotations

from ipaddress import ip_address

from perilune.crypto.cookie import CookieSecrets
from perilune.model.spi import IkeSpi
from support.rng import SeededRng

NONCE = b"n" * 32
ADDRESS = ip_address("192.0.2.1")
SPI = IkeSpi(7)


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.6
##= type=test
##% The data associated with this notification MUST
##% be between 1 and 64 octets in length (inclusive)
def test_cookie_is_accepted_for_its_request_alone() -> None:
    secrets = CookieSecrets.generate(SeededRng())
    cookie = secrets.cookie(NONCE, ADDRESS, SPI)
    assert 1 <= len(cookie) <= 64
    assert secrets.accept(cookie, NONCE, ADDRESS, SPI)
    assert not secrets.accept(cookie, NONCE + b"n", ADDRESS, SPI)
    assert not secrets.accept(cookie, NONCE, ip_address("192.0.2.2"), SPI)
    assert not secrets.accept(cookie, NONCE, ip_address("2001:db8::1"), SPI)
    assert not secrets.accept(cookie, NONCE, ADDRESS, IkeSpi(8))
    for other in (b"", cookie[:-1], cookie + b"\0", bytes(33)):
        assert not secrets.accept(other, NONCE, ADDRESS, SPI)


def test_the_secret_before_is_still_good_and_the_one_before_that_is_not() -> None:
    rng = SeededRng()
    first = CookieSecrets.generate(rng)
    cookie = first.cookie(NONCE, ADDRESS, SPI)
    second = first.rotated(rng)
    assert second.version == 1
    assert second.cookie(NONCE, ADDRESS, SPI) != cookie
    assert second.accept(cookie, NONCE, ADDRESS, SPI)
    assert not second.rotated(rng).accept(cookie, NONCE, ADDRESS, SPI)


def test_versions_wrap() -> None:
    rng = SeededRng()
    secrets = CookieSecrets(255, CookieSecrets.generate(rng).current)
    cookie = secrets.cookie(NONCE, ADDRESS, SPI)
    assert secrets.rotated(rng).version == 0
    assert secrets.rotated(rng).accept(cookie, NONCE, ADDRESS, SPI)
