"""IKE SAs that peers began and have not authenticated: how many, whose, and when to ask for a cookie."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, Protocol

from perilune.crypto.cookie import CookieSecrets
from perilune.ike.settings import EndpointSettings
from perilune.model.address import IpAddress
from perilune.model.random import Rng
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant


class HalfOpenSa(Protocol):
    """An IKE SA whose initiator is not authenticated."""

    remote: IpAddress
    digest: bytes


class HalfOpenTable:
    """Half-open IKE SAs by the request that began them and its sender (RFC 7296, section 2.1).

    Those that failed count for as long as one that waits would: they cost as much.

    Args:
        settings: The endpoint's.
        rng: Where the secrets of cookies come from.
    """

    def __init__(self, settings: EndpointSettings, rng: Rng) -> None:
        self._settings: Final = settings
        self._rng: Final = rng
        self._by_request: dict[tuple[bytes, IpAddress], HalfOpenSa] = {}
        self._by_address: Counter[IpAddress] = Counter()
        self._failed: deque[tuple[Instant, IpAddress]] = deque()
        self._secrets: CookieSecrets | None = None
        self._secrets_since = Instant(0)

    def __len__(self) -> int:
        return len(self._by_request)

    def find(self, digest: bytes, remote: IpAddress) -> HalfOpenSa | None:
        """Return what a request began, if it came before from the same address."""
        return self._by_request.get((digest, remote))

    def add(self, half_open: HalfOpenSa) -> None:
        """Count one more."""
        self._by_request[half_open.digest, half_open.remote] = half_open
        self._by_address[half_open.remote] += 1

    def remove(self, half_open: HalfOpenSa) -> None:
        """Count one less."""
        if self._by_request.pop((half_open.digest, half_open.remote), None) is not None:
            self._forget_address(half_open.remote)

    def add_failed(self, remote: IpAddress, now: Instant) -> None:
        """Count one that came to nothing, so that failing is no way around cookies and limits."""
        self._by_address[remote] += 1
        self._failed.append((now + self._settings.timers.half_open, remote))

    def forget_failed(self, now: Instant) -> None:
        """Count those no more that failed long ago."""
        while self._failed and self._failed[0][0] <= now:
            self._forget_address(self._failed.popleft()[1])

    def has_room(self, remote: IpAddress) -> bool:
        """Whether another one from an address may begin."""
        settings = self._settings
        return (
            self._load < settings.half_open_limit
            and self._by_address[remote] < settings.half_open_limit_per_address
        )

    @property
    def wants_cookies(self) -> bool:
        """Whether there are so many that an initiator has to show first that it receives."""
        return self._load >= self._settings.cookie_threshold

    @property
    def _load(self) -> int:
        return len(self) + len(self._failed)

    def cookie(self, nonce: bytes, remote: IpAddress, spi_i: IkeSpi, now: Instant) -> bytes:
        """Return the cookie that a request has to come with."""
        return self._fresh_secrets(now).cookie(nonce, remote, spi_i)

    def accepts(self, cookie: bytes, nonce: bytes, remote: IpAddress, spi_i: IkeSpi, now: Instant) -> bool:
        """Whether a request's cookie is one of ours."""
        return self._fresh_secrets(now).accept(cookie, nonce, remote, spi_i)

    def _forget_address(self, remote: IpAddress) -> None:
        self._by_address[remote] -= 1
        if not self._by_address[remote]:
            del self._by_address[remote]

    def _fresh_secrets(self, now: Instant) -> CookieSecrets:
        lifetime = self._settings.timers.cookie_secret
        if self._secrets is None:
            self._secrets, self._secrets_since = CookieSecrets.generate(self._rng), now
        elif now - self._secrets_since > lifetime * 2:
            self._secrets, self._secrets_since = self._secrets.rotated(self._rng).rotated(self._rng), now
        elif now - self._secrets_since > lifetime:
            self._secrets, self._secrets_since = self._secrets.rotated(self._rng), now
        return self._secrets
