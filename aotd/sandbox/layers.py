"""The sandbox's layers that this machine may have or lack: which are there, and what is missing where one is not.

The syntax check, the process of its own and the parent's clock are always there.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection
from enum import Enum
from importlib.util import find_spec

from aotd.errors import UserError
from aotd.sandbox.seccomp import NUMBERS

_LANDLOCK_CREATE = 444
_PR_GET_SECCOMP = 21


class Layer(str, Enum):
    """What stands around a program's process."""

    rlimits = "rlimits"
    """Limits that the kernel sets on memory, processor time, files and processes."""
    seccomp = "seccomp"
    """A filter of system calls: what a program does not need is refused."""
    landlock = "landlock"
    """The kernel's access control: no file, no TCP, no signal to others."""
    namespaces = "namespaces"
    """A view of the machine with no files but Python's, no network and no other processes, made by bubblewrap."""


def landlock_abi() -> int:
    """Version of Landlock here; 0 without it."""
    return max(_syscall(_LANDLOCK_CREATE, None, 0, 1), 0) if sys.platform == "linux" else 0


def _syscall(*arguments: int | None) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(*arguments))


@functools.cache
def missing(layer: Layer) -> str:
    """What this machine lacks for a layer, and how to mend it; empty where it has the layer."""
    if layer is Layer.rlimits:
        return "" if find_spec("resource") else "this system has no rlimits"
    if sys.platform != "linux":
        return f"only Linux has it, and this is {platform.system()}"
    return {Layer.seccomp: _no_seccomp, Layer.landlock: _no_landlock, Layer.namespaces: _no_namespaces}[layer]()


def _no_seccomp() -> str:
    if platform.machine() not in NUMBERS:
        return f"aotd has no list of system calls for {platform.machine()}, only for {' and '.join(NUMBERS)}"
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
        return "the kernel was built without CONFIG_SECCOMP_FILTER"
    return ""


def _no_landlock() -> str:
    if _syscall(_LANDLOCK_CREATE, None, 0, 1) > 0:
        return ""
    return {
        errno.ENOSYS: "the kernel is older than 5.13 or was built without CONFIG_SECURITY_LANDLOCK",
        errno.EOPNOTSUPP: "the kernel has it turned off: add landlock to the boot parameter lsm=",
    }.get(ctypes.get_errno(), f"the kernel refuses it ({os.strerror(ctypes.get_errno())})")


def _no_namespaces() -> str:
    if not shutil.which("bwrap"):
        return "the program bwrap is not there: install the package bubblewrap"
    tried = subprocess.run(
        [*bubblewrap(""), interpreter(), "-S", "-c", ""], capture_output=True, text=True, check=False, env={}, cwd="/"
    )
    if tried.returncode == 0:
        return ""
    said = (tried.stderr.strip().splitlines() or [f"status {tried.returncode}"])[-1]
    return (
        f"bubblewrap does not work here ({said}): the kernel's settings user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns decide on it"
    )


def bubblewrap(script: str) -> list[str]:
    """The words before Python's own that start it in namespaces of its own; of files it sees itself and the script."""
    paths = sysconfig.get_paths()
    libraries = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", sysconfig.get_config_var("LIBDIR"))
    seen = [paths["stdlib"], paths["platstdlib"], *libraries, script]
    words = [
        shutil.which("bwrap") or "bwrap",
        "--die-with-parent",
        "--new-session",
        "--unshare-user",
        "--unshare-ipc",
        "--unshare-pid",
    ]
    words += ["--unshare-net", "--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"]
    words += ["--uid", "65534", "--gid", "65534", "--ro-bind", interpreter(), interpreter()]
    for path in dict.fromkeys(seen):
        if path and os.access(path, os.R_OK):
            words += ["--ro-bind", path, path]
    return [*words, "--remount-ro", "/", "--chdir", "/", "--"]


def interpreter() -> str:
    """Python itself; a virtual environment's is only a link to it."""
    return os.path.realpath(sys.executable)


def raised(asked: Collection[Layer], without_kernel: bool) -> frozenset[Layer]:
    """The layers that programs will run under: all that this machine has.

    Args:
        asked: layers without which nothing is to run.
        without_kernel: run also where there is no seccomp.

    Raises:
        UserError: one that was asked for is missing, or seccomp is.
    """
    for layer in asked:
        if why := missing(layer):
            raise UserError(f"execute.layers asks for {layer.value}, which is not here: {why}")
    if not without_kernel and (why := missing(Layer.seccomp)):
        raise UserError(
            f"programs that a language model wrote are run under seccomp, which is not here: {why}. "
            "execute.run_without_kernel_layers=true runs them nevertheless"
        )
    return frozenset(layer for layer in Layer if not missing(layer))
