"""Each layer by itself, against programs that are past the syntax check."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aotd.errors import QuestionError, UserError
from aotd.sandbox import layers
from aotd.sandbox.child import NOBODY
from aotd.sandbox.layers import Layer, missing, raised
from aotd.sandbox.process import Limits, Sandbox
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip
from tests.conftest import BlankVideo, Scripted

TRIES = {
    "read": "os['open']('/etc/passwd', 0)",
    "write": "os['open'](FOLDER + '/new', 66)",
    "make": "os['mkdir'](FOLDER + '/folder')",
    "remove": "os['unlink'](FOLDER + '/old')",
    "mode": "os['chmod'](FOLDER + '/old', 0)",
    "fork": "os['fork']() or os['_exit'](0)",
    "signal": "os['kill'](PARENT, 0)",
    "connect": "socket.socket(2, 1).connect(('127.0.0.1', PORT))",
    "descriptor": "os['close'](0) or os['open']('/etc/passwd', 0)",
    "memory": "len('a' * (600 << 20))",
}
"""What a program that is past the check might do; each raises where it is held."""
HOLDS = {
    Layer.rlimits: {"read", "write", "fork", "connect", "descriptor", "memory"},
    Layer.seccomp: {*TRIES} - {"memory"},
    Layer.landlock: {"read", "write", "make", "remove", "signal", "connect", "descriptor"},
    Layer.namespaces: {*TRIES} - {"fork", "memory"},
}
PROGRAM = """\
def execute_command(video_clip, query, possible_answers):
    importer = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'BuiltinImporter'][0]
    os = importer.load_module('posix').__dict__
    socket = len.__self__.__import__('socket')
    try:
        TRY
    except len.__self__.Exception as error:
        return 'held: ' + len.__self__.type(error).__name__
    return 'done'
"""


@pytest.fixture(autouse=True)
def _looks_again() -> Iterator[None]:
    missing.cache_clear()
    yield
    missing.cache_clear()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a file, both of the user that programs run as, who cannot enter pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "old").touch()
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.chown(folder / "old", NOBODY, NOBODY)
        yield folder


@pytest.mark.parametrize("what", TRIES)
@pytest.mark.parametrize("layer", Layer)
def test_each_layer_alone_holds_its_share(folder: Path, layer: Layer, what: str) -> None:
    if why := missing(layer):
        pytest.skip(why)
    if layer is Layer.landlock and layers.landlock_abi() < {"connect": 4, "signal": 6}.get(what, 1):
        pytest.skip("this kernel's Landlock is too old")
    if os.geteuid() == 0 and layer is Layer.rlimits and what == "signal":
        pytest.skip("as root a program is nobody, who may not signal this process anyway")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        values = {"FOLDER": repr(str(folder)), "PARENT": str(os.getpid()), "PORT": str(listener.getsockname()[1])}
        code = PROGRAM.replace("TRY", TRIES[what])
        for name, value in values.items():
            code = code.replace(name, value)
        with Sandbox(Limits(), [layer], checked=False) as sandbox:
            try:
                tools = ToolSession(VIDEO_TOOLS, Scripted().bundle())
                answer = sandbox.run(code, Clip.whole(BlankVideo()), "why?", (), tools)
            except QuestionError as error:  # it has closed its own wire, or its memory was used up
                answer = f"held: {error.outcome.value}"
    assert answer.startswith("held") == (what in HOLDS[layer]), answer


def test_missing_layer_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(UserError, match=r"execute\.layers asks for namespaces.*install the package bubblewrap"):
        raised([Layer.namespaces], without_kernel=False)


def test_bubblewrap_without_permission_names_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    why = missing(Layer.namespaces)
    assert "No permissions to create new namespace" in why
    assert "user.max_user_namespaces" in why


def test_missing_seccomp_is_refused_without_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(UserError, match=r"only Linux has it.*execute\.run_without_kernel_layers=true"):
        raised([], without_kernel=False)
    assert raised([], without_kernel=True) == {Layer.rlimits}
    with pytest.raises(UserError, match="asks for landlock"):
        raised([Layer.landlock], without_kernel=True)


def test_unknown_architecture_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert "no list of system calls for riscv64" in missing(Layer.seccomp)


@pytest.mark.parametrize(("number", "says"), [(38, "older than 5.13"), (95, "lsm=")])
def test_kernel_without_landlock_differs_from_landlock_off(
    monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(layers, "_syscall", lambda *_: -1)
    monkeypatch.setattr("ctypes.get_errno", lambda: number)
    assert says in missing(Layer.landlock)
