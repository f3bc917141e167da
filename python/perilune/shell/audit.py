"""The audit log as the daemon writes it: what cannot be written now waits, and that is said loudly."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path as FilePath

from perilune.agent.audit.record import AuditRecord
from perilune.agent.node import AuditState
from perilune.model.errors import ResourceError
from perilune.shell.audit_file import AuditFile

MOST_WAITING = 10_000
"""Records that wait for room on the disc; further ones are counted."""

_LOG = logging.getLogger("perilune.audit")


class AuditLog:
    """Writes records, in order, as soon as that is possible.

    Args:
        path: The file.
        largest_octets: From which size on a new one is begun; 0 never.
    """

    def __init__(self, path: FilePath, largest_octets: int) -> None:
        self._path = path
        self._file = AuditFile(path, largest_octets, _say)
        self._waiting: deque[tuple[AuditRecord, datetime]] = deque()
        self._lost = 0
        self._failure = ""
        self._is_dirty = False

    @property
    def state(self) -> AuditState:
        """Where the log is and how it stands."""
        return AuditState(
            path=self._path,
            head=self._file.head,
            waiting=len(self._waiting),
            lost=self._lost,
            failure=self._failure,
        )

    def open(self, started: AuditRecord) -> None:
        """Open the log with a record of that.

        Raises:
            ResourceError: It cannot be opened or written.
        """
        self._file.open(started, datetime.now(UTC))
        self._is_dirty = True
        _LOG.info("the audit log %s stands at %s", self._path, self._file.head)

    def add(self, record: AuditRecord, time: datetime | None = None) -> None:
        """Write a record, or have it wait.

        Args:
            record: What happened.
            time: When, if that was not now.
        """
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
        else:
            self._waiting.append((record, time or datetime.now(UTC)))
        if not self._failure:
            self.flush()

    def flush(self) -> None:
        """Write what waits, as far as that is possible now."""
        try:
            while self._waiting:
                self._file.append(*self._waiting[0])
                self._waiting.popleft()
                self._is_dirty = True
            if self._lost:
                self._file.append(AuditRecord("records_lost", {"count": self._lost}), datetime.now(UTC))
                self._lost = 0
        except ResourceError as error:
            self._fail(error)
            return
        if self._failure:
            _LOG.warning("the audit log can be written again")
            self._failure = ""

    def sync(self) -> Callable[[], None] | None:
        """Return what has the disc keep the log, to be called in any thread; None if it keeps it already."""
        if not self._is_dirty:
            return None
        self._is_dirty = False
        try:
            return self._file.sync()
        except ResourceError as error:
            self._fail(error)
            return None

    def close(self, stopped: AuditRecord) -> None:
        """Write a last record and close the log; what still cannot be written is told."""
        self.add(stopped)
        self.flush()
        if self._failure:
            _LOG.error("%d audit records were never written", len(self._waiting) + self._lost)
        else:
            _LOG.info("the audit log %s ends at %s", self._path, self._file.head)
            self._keep()
        self._file.close()

    def _keep(self) -> None:
        keep = self.sync()
        if keep is not None:
            try:
                keep()
            except ResourceError as error:
                self._fail(error)

    def _fail(self, error: ResourceError) -> None:
        if str(error) != self._failure:
            _LOG.error("audit records wait: %s", error)
        self._failure = str(error)


def _say(notice: str) -> None:
    _LOG.error("%s", notice)
