"""Start a program that cannot ask for the extended state of the processes it traces.

Usage: fxsave.py COMMAND WORDS...

A User-Mode Linux 6.1 keeps its processes' floating point registers in a buffer that is too small for
processors with AVX-512 or AMX, and the kernel below then refuses to set them. Where PTRACE_GETREGSET has no
NT_X86_XSTATE, it does with the registers of FXSAVE, which fit everywhere. A filter for system calls, which
the command inherits, makes it so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000

LOAD_WORD = 0x20
JUMP_IF_EQUAL = 0x15
RETURN = 0x06

NUMBER_OFFSET = 0
"""Of the system call's number in `struct seccomp_data`."""

ARGUMENTS_OFFSET = 16
"""Of the first argument; each has 8 octets, the low half first."""

SYS_PTRACE_X86_64 = 101
PTRACE_GETREGSET = 0x4204
NT_X86_XSTATE = 0x202


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def instruction(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    """Return one instruction of the classic packet filter; the jumps count instructions to leave out."""
    return struct.pack("=HBBI", code, when_true, when_false, value)


def filter_instructions() -> bytes:
    """Return the filter: EINVAL for one request of ptrace, and everything else as ever."""
    wanted = (
        (NUMBER_OFFSET, SYS_PTRACE_X86_64),
        (ARGUMENTS_OFFSET, PTRACE_GETREGSET),
        (ARGUMENTS_OFFSET + 2 * 8, NT_X86_XSTATE),
    )
    code = b""
    for place, (offset, value) in enumerate(wanted):
        to_allow = 2 * (len(wanted) - place) - 1
        code += instruction(LOAD_WORD, offset) + instruction(JUMP_IF_EQUAL, value, when_false=to_allow)
    code += instruction(RETURN, SECCOMP_RET_ERRNO | errno.EINVAL)
    return code + instruction(RETURN, SECCOMP_RET_ALLOW)


def install_filter() -> None:
    """Install the filter in this process and what it starts."""
    code = filter_instructions()
    buffer = ctypes.create_string_buffer(code, len(code))
    program = Program(len(code) // len(instruction(0, 0)), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*words) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Install the filter and become the command."""
    install_filter()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # no shell between


if __name__ == "__main__":
    main()
