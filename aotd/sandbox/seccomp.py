"""The filter of system calls under which a program runs, or a video is decoded: an allow-list, put together as BPF.

A program computes, and reads and writes the one socket it has. So the list names what the interpreter needs for memory,
for reading and writing descriptors that are open already, for clocks and for ending. Everything else is refused with
EPERM: opening or making anything, sockets, processes and threads, signals to others, and raising its own limits.
seccomp(2); the instructions are those of classic BPF (linux/filter.h).
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Sequence

NUMBERS: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
            "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24,
            "mremap": 25, "madvise": 28, "setitimer": 38, "getpid": 39, "recvfrom": 45, "recvmsg": 47, "exit": 60,
            "sigaltstack": 131, "gettid": 186, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
            "exit_group": 231, "getrandom": 318,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "close": 57, "lseek": 62, "read": 63, "write": 64, "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98,
            "setitimer": 103, "clock_gettime": 113, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132,
            "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "getpid": 172, "gettid": 178,
            "recvfrom": 207, "recvmsg": 212, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226,
            "madvise": 233, "getrandom": 278,
        },
    ),
}  # fmt: skip
"""Architecture -> its audit number (linux/audit.h), and the numbers of system calls there."""
DECODING = tuple(NUMBERS["x86_64"][1])
"""What decoding needs: a program's calls, a message with a descriptor, and an alarm."""
PROGRAM = tuple(name for name in DECODING if name not in ("setitimer", "recvfrom", "recvmsg"))

_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD+W+ABS, BPF_JMP+JEQ+K, BPF_RET+K
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050001, 0x7FFF0000  # of the process; with EPERM; let through
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data


def seccomp_filter(allowed: Sequence[str], machine: str = "") -> bytes:
    """The filter that allows some calls, on an architecture, by default this machine's.

    A call in another architecture's numbers (32 bits on x86) kills the process.

    Returns:
        `struct sock_filter`s, 8 bytes each.

    Raises:
        KeyError: there are no numbers for that architecture.
    """
    audit, calls = NUMBERS[machine or platform.machine()]
    code = [_step(_LOAD, _ARCHITECTURE_AT), _step(_IF_EQUAL, audit, 1, 0), _step(_RETURN, _KILL)]
    code.append(_step(_LOAD, _NUMBER_AT))
    numbers = sorted(calls[name] for name in allowed)
    code += [_step(_IF_EQUAL, number, len(numbers) - at, 0) for at, number in enumerate(numbers)]
    return b"".join([*code, _step(_RETURN, _REFUSE), _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
