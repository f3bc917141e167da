"""How a command ends, for scripts.

0     it did what was asked
1     the daemon or the peer refused; the message says why
2     the command line or the configuration is wrong
3     no daemon answers on the control socket
4     it took longer than the time that was given
5     the system does not allow it: privileges, a device, a port in use
6     an audit log is not whole: a line was changed, or lines are missing
130   it was interrupted, as by Ctrl-C
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a command."""

    DONE = 0
    REFUSED = 1
    WRONG_USE = 2
    NO_DAEMON = 3
    TIMED_OUT = 4
    NOT_ALLOWED = 5
    NOT_WHOLE = 6
