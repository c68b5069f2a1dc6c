from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aotd.errors import QuestionError
from aotd.records import Detection, Outcome
from aotd.sandbox.layers import Layer, missing
from aotd.sandbox.process import Limits, Sandbox
from aotd.tools.toolbox import ToolSession
from aotd.tools.video import VIDEO_TOOLS
from aotd.video.clip import Clip
from tests.conftest import BlankVideo, Scripted

HEAD = "def execute_command(video_clip, query, possible_answers):\n"
CLIP = Clip.whole(BlankVideo())
HERE = frozenset(layer for layer in Layer if not missing(layer))


def tools(scripted: Scripted) -> ToolSession:
    return ToolSession(VIDEO_TOOLS, scripted.bundle())


def run(
    scripted: Scripted,
    body: str,
    limits: Limits | None = None,
    options: tuple[str, ...] = ("yes", "no"),
    layers: Collection[Layer] = HERE,
) -> str:
    """Run a body without the check: the process must hold by itself."""
    return run_with(tools(scripted), body, limits, options, layers)


def run_with(
    session: ToolSession,
    body: str,
    limits: Limits | None = None,
    options: tuple[str, ...] = ("yes", "no"),
    layers: Collection[Layer] = HERE,
) -> str:
    code = HEAD + "".join(f"    {line}\n" for line in body.splitlines())
    with Sandbox(limits or Limits(), layers, checked=False) as sandbox:
        return sandbox.run(code, CLIP, "why?", options, session)


def outcome(
    scripted: Scripted, body: str, limits: Limits | None = None, layers: Collection[Layer] = HERE
) -> tuple[Outcome, str]:
    with pytest.raises(QuestionError) as caught:
        run(scripted, body, limits, layers=layers)
    return caught.value.outcome, caught.value.reason


def test_parent_writes_trace_of_tool_calls(scripted: Scripted) -> None:
    scripted.boxes["cup"] = [Detection(frame=3, box=(1, 2, 3, 4), label="cup", score=0.5)]
    scripted.spans["opening"] = (2, 6)
    session = tools(scripted)
    answer = run_with(
        session,
        "clip = Filter_frames_with_act(video_clip, 'opening')\n"
        "cups = Query_Objs(clip, 'cup')\n"
        "info = {'where': cups[0].x1 + cups[0].frame, 'length': len(clip), 'starts': clip.start, 'ends': clip.end}\n"
        "info['found'] = 'yes'\n"
        "return select_answer(query, info, possible_answers)",
    )
    assert answer == "yes"
    assert (session.calls, session.specialist_calls) == (3, 3)
    assert [event.tool for event in session.events] == ["Filter_frames_with_act", "Query_Objs", "select_answer"]
    assert session.events[1].frames == (2, 3, 4, 5)
    assert dict(session.events[2].info) == {"where": "4.0", "length": "4", "starts": "2", "ends": "6", "found": "yes"}


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("trim(video_clip, 1)\nCompare(video_clip, video_clip)\nexist(video_clip, 'cup')\nreturn None", (3, 1)),
        ("exist(video_clip, ' ')\nVideo_query(video_clip, 'why?')\nreturn None", (2, 1)),
        ("Video_query(video_clip, 3)", (1, 0)),
        ("return select_answer(query, {'x': 'neither'}, possible_answers)", (1, 1)),
        ("for i in range(100):\n    exist(video_clip, 'cup')", (64, 64)),
    ],
)
def test_tool_calls_and_specialist_calls_are_counted(scripted: Scripted, body: str, calls: tuple[int, int]) -> None:
    session = tools(scripted)
    with pytest.raises(QuestionError):
        run_with(session, body)
    assert (session.calls, session.specialist_calls) == calls


@pytest.mark.parametrize(
    ("body", "expected", "says"),
    [
        ("return 1 / 0", Outcome.program_error, "line 2: ZeroDivisionError"),
        ("return Find(video_clip)", Outcome.program_error, "missing a required argument"),
        ("return Find(3, 'cup')", Outcome.program_error, "wants a clip"),
        ("return None", Outcome.no_answer, "NoneType"),
        ("return ''", Outcome.no_answer, "empty"),
        ("return video_clip", Outcome.no_answer, "Clip"),
        ("return select_answer(query, {'x': 'neither'}, possible_answers)", Outcome.no_answer, "none of the options"),
        ("x = 'a' * (10 ** 12)\nreturn x", Outcome.program_memory, "memory"),
        ("for i in range(100):\n    exist(video_clip, 'cup')\nreturn 'x'", Outcome.program_limit, "64 tool calls"),
        ("return 'a' * 1000000", Outcome.program_limit, "256 kB"),
        ("def f(n):\n    return f(n + 1)\nreturn f(0)", Outcome.program_error, "RecursionError"),
    ],
)
def test_each_failure_has_its_outcome(scripted: Scripted, body: str, expected: Outcome, says: str) -> None:
    got, reason = outcome(scripted, body)
    assert got is expected
    assert says in reason


@pytest.mark.parametrize(
    "body", ["while True:\n    pass", "return str(10 ** 10 ** 8)", "return 'x' if 9**9**9 else ''"]
)
def test_timeout_kills_infinite_loop(scripted: Scripted, body: str) -> None:
    started = time.monotonic()
    assert outcome(scripted, body, Limits(seconds=0.5))[0] is Outcome.program_timeout
    assert time.monotonic() - started < 2


def test_timeout_leaves_out_tool_time(scripted: Scripted) -> None:
    class Slow(Scripted):
        def answer(self, clip: Clip, question: str) -> str:
            time.sleep(0.6)
            return "yes"

    assert run(Slow(), "return Video_query(video_clip, query)", Limits(seconds=0.4)) == "yes"


def test_crashed_specialist_ends_as_tool_failed() -> None:
    class Broken(Scripted):
        def detect(self, clip: Clip, query: str) -> list[Detection]:
            raise IndexError("out of range")

    assert outcome(Broken(), "return str(exist(video_clip, 'cup'))") == (
        Outcome.tool_failed,
        "exist: IndexError: out of range",
    )


def test_program_sees_no_environment_and_no_other_builtin(scripted: Scripted) -> None:
    # These get past no check; here the check is left out, to see that the process holds by itself.
    assert "NameError" in outcome(scripted, "return open('/etc/passwd').read()")[1]
    assert "ImportError" in outcome(scripted, "import os\nreturn str(dict(os.environ))")[1]


def test_bools_and_numbers_are_answers(scripted: Scripted) -> None:
    assert run(scripted, "return exist(video_clip, 'cup')") == "no"
    assert run(scripted, "return Count(video_clip, 'cup')") == "0"


def test_refused_program_does_not_start(scripted: Scripted) -> None:
    with Sandbox(Limits(), HERE) as sandbox, pytest.raises(QuestionError, match="Import") as caught:
        sandbox.run(HEAD + "    import os\n    return 'x'\n", CLIP, "why?", (), tools(scripted))
    assert caught.value.outcome is Outcome.program_invalid


@pytest.mark.parametrize(
    "body", ["return '\\ud800'", "raise ValueError('\\ud800')\nreturn 'x'", "return exist(video_clip, '\\ud800')"]
)
def test_lone_surrogate_is_refused(scripted: Scripted, body: str) -> None:
    assert outcome(scripted, body) == (Outcome.program_error, "sent text that is not Unicode")


@pytest.mark.parametrize("depth", [33, 330, 480])
def test_deeply_nested_argument_is_program_error(scripted: Scripted, depth: int) -> None:
    body = (
        f"x = 'yes'\nfor i in range({depth}):\n    x = [x]\nreturn select_answer(query, {{'x': x}}, possible_answers)"
    )
    got, reason = outcome(scripted, body)
    assert got is Outcome.program_error
    assert "nested" in reason


@pytest.mark.parametrize("number", ["float('inf')", "float('nan')", "10 ** 4000", "-(10 ** 4000)"])
def test_impossible_frame_number_is_program_error(scripted: Scripted, number: str) -> None:
    assert outcome(scripted, f"return len(trim(video_clip, 0, {number}))")[0] is Outcome.program_error


# What follows gets past no check. The process has to hold by itself, so `BREAK_OUT` takes what a hole in it would give.
BREAK_OUT = """\
importer = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'BuiltinImporter'][0]
os = importer.load_module('posix').__dict__
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("os['close'](1)\nwhile True:\n    pass", Outcome.program_timeout),
        (
            "for i in range(60):\n"
            '    call = b\'{"call": "Fly\' + b\'y\' * 20000 + b\'", "arguments": [], "keywords": {}}\\n\'\n'
            "    os['write'](1, call)\n"
            "while True:\n    pass",
            Outcome.program_timeout,
        ),
        ("os['write'](1, b'{\"error\": \"x\", \"line\": \"' + b'y' * 9999 + b'\"}\\n')", Outcome.program_error),
        ("os['write'](1, b'[' * 9999 + b'\\n')", Outcome.program_error),
    ],
)
def test_broken_out_program_cannot_block_parent(scripted: Scripted, body: str, expected: Outcome) -> None:
    started = time.monotonic()
    got, reason = outcome(scripted, BREAK_OUT + body, Limits(seconds=0.5), layers=())
    assert got is expected
    assert len(reason) < 600
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "message",
    [
        "{'end': 'A'}".replace("'", '"').encode("utf-16-be"),  # Python's own reader of JSON would take it
        "{'end': 'A'}".replace("'", '"').encode("utf-32-be"),
        b'\xff{"end": "A"}',
        b'["end", "A"]',
        b'"A"',
        b"",
    ],
)
def test_foreign_message_ends_program(scripted: Scripted, message: bytes) -> None:
    got = outcome(scripted, BREAK_OUT + f"os['write'](1, {message + bytes([10])!r})\nreturn 'x'", layers=())
    assert got == (Outcome.program_error, "sent a message that is not one of the protocol's")


def test_forked_processes_die_with_program(scripted: Scripted) -> None:
    body = BREAK_OUT + "child = os['fork']()\nos['setsid']() if not child else None\nwhile not child:\n    pass\n"
    answer = run(scripted, body + "return str(child)", layers=())
    deadline = time.monotonic() + 2
    while Path(f"/proc/{answer}").exists() and "\nState:\tZ" not in Path(f"/proc/{answer}/status").read_text():
        assert time.monotonic() < deadline, "it is still running"
        time.sleep(0.01)


def test_total_message_size_is_limited(scripted: Scripted) -> None:
    got, reason = outcome(scripted, "while True:\n    Video_query(video_clip, 'x' * 200000)")
    assert (got, reason) == (Outcome.program_limit, "sent more than 1024 kB in all")


def test_set_argument_has_stable_order(scripted: Scripted) -> None:
    body = "names = {'cup', 'door', 'bag', 'book'}\nreturn ' '.join(names)"
    assert len({run(scripted, body) for _ in range(4)}) == 1


def test_sandbox_survives_killed_or_stopped_server(scripted: Scripted) -> None:
    end_server = BREAK_OUT + "os['kill'](os['getppid'](), {})\nos['_exit'](0)"
    with Sandbox(Limits(), (), checked=False) as sandbox:
        for number in ("9", "19"):
            body = "".join(f"    {line}\n" for line in end_server.format(number).splitlines())
            with pytest.raises(QuestionError, match="lost twice"):
                sandbox.run(HEAD + body, CLIP, "why?", (), tools(scripted))
            assert sandbox.run(HEAD + "    return 'x'\n", CLIP, "why?", (), tools(scripted)) == "x"


def test_answer_comes_before_cleanup_and_next_program_waits(
    scripted: Scripted,
) -> None:
    leave = BREAK_OUT + "child = os['fork']()\nos['setsid']() if not child else None\nwhile not child:\n    pass\n"
    stop_server = BREAK_OUT + "os['kill'](os['getppid'](), 19)\n"
    with Sandbox(Limits(), (), checked=False) as sandbox:

        def answer(body: str) -> str:
            code = HEAD + "".join(f"    {line}\n" for line in body.splitlines())
            return sandbox.run(code, CLIP, "why?", (), tools(scripted))

        orphan = Path(f"/proc/{answer(leave + 'return str(child)')}")
        assert sandbox._spare
        sandbox._spare.result()  # it is added at any time
        assert answer("return 'x'") == "x"
        assert not orphan.exists()
        assert answer(stop_server + "return 'y'") == "y"
        server = sandbox._idle[-1]  # the one that has been stopped
        while sandbox._idle[0] is not server:
            assert answer("return 'w'") == "w"
        assert answer("return 'z'") == "z"
        assert server not in sandbox._idle


def test_kill_from_outside_is_no_timeout(scripted: Scripted) -> None:
    got, reason = outcome(scripted, BREAK_OUT + "os['kill'](os['getpid'](), 9)", layers=())
    assert (got, "for want of memory" in reason) == (Outcome.program_memory, True)


def test_threads_share_a_sandbox(scripted: Scripted) -> None:
    with Sandbox(Limits(), HERE) as sandbox, ThreadPoolExecutor(4) as threads:
        codes = [HEAD + f"    return str({number} + len(video_clip))\n" for number in range(24)]
        done = threads.map(lambda code: sandbox.run(code, CLIP, "why?", (), tools(scripted)), codes)
        assert [*done] == [str(number + len(CLIP.numbers)) for number in range(24)]


def test_ended_thread_takes_no_process_with_it(scripted: Scripted) -> None:
    code = HEAD + "    return str(len(video_clip))\n"

    class Slow(Scripted):
        def answer(self, clip: Clip, question: str) -> str:
            time.sleep(0.3)
            return "yes"

    asking = HEAD + "    return Video_query(video_clip, query)\n"
    with Sandbox(Limits(), HERE) as sandbox:
        for _ in range(2):
            with ThreadPoolExecutor(3) as threads:
                [*threads.map(lambda _: sandbox.run(code, CLIP, "why?", (), tools(scripted)), range(9))]
            with ThreadPoolExecutor(3) as threads:
                done = threads.map(lambda _: sandbox.run(asking, CLIP, "why?", (), tools(Slow())), range(3))
                assert [*done] == ["yes"] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_program_dies_with_killed_parent() -> None:
    body = (
        "import os, signal, sys, threading, time\n"
        "from aotd.sandbox.process import Limits, Sandbox\n"
        "from tests.sandbox.test_process import CLIP, HEAD, HERE, tools\n"
        "from tests.conftest import Scripted\n"
        "class Telling(Scripted):\n"
        "    def answer(self, clip, question):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "code = HEAD + '    Video_query(video_clip, query)\\n    while True:\\n        pass\\n    return query\\n'\n"
        "with Sandbox(Limits(), HERE) as sandbox:\n"
        "    print(sandbox._idle[0]._process.pid, flush=True)\n"
        "    sandbox.run(code, CLIP, 'why?', (), tools(Telling()))\n"
    )
    ran = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == -9, ran.stderr
    deadline = time.monotonic() + 5
    while _alive(ran.stdout.strip()):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.02)


def _alive(session: str) -> bool:
    """Whether the server that led a session still runs, or a program of it, which leads its own."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent, group = path.joinpath("stat").read_text().rpartition(")")[2].split()[1:3]
            if session in (parent, group) and b"sandbox/child.py" in path.joinpath("cmdline").read_bytes():
                return True
    return False


def test_program_runs_again_after_server_was_killed(scripted: Scripted) -> None:
    with Sandbox(Limits(), HERE) as sandbox:
        server = sandbox._idle[0]._process.pid

        class Killing(Scripted):
            def answer(self, clip: Clip, question: str) -> str:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server, signal.SIGKILL)
                return "yes"

        code = HEAD + "    return Video_query(video_clip, query)\n"
        session = tools(Killing())
        assert sandbox.run(code, CLIP, "why?", (), session) == "yes"
    assert (len(session.events), session.calls, session.specialist_calls) == (1, 1, 1)


def test_programs_alternate_between_two_servers(scripted: Scripted) -> None:
    with Sandbox(Limits(), HERE) as sandbox:
        used = []
        for number in range(5):
            while number and len(sandbox._idle) < 2:
                time.sleep(0.01)
            used.append(sandbox._idle[0])
            assert sandbox.run(HEAD + "    return 'x'\n", CLIP, "why?", (), tools(scripted)) == "x"
        assert used[1] is not used[2] is not used[3] is not used[4]
        assert len(set(used)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_to_whole_job_spares_programs(scripted: Scripted, number: signal.Signals) -> None:
    with Sandbox(Limits(), HERE - {Layer.namespaces}) as sandbox:
        server = sandbox._idle[0]

        class Signalling(Scripted):
            def answer(self, clip: Clip, question: str) -> str:
                os.kill(server._process.pid, number)
                assert server._program is not None
                os.kill(server._program, number)
                return "yes"

        code = HEAD + "    return Video_query(video_clip, query)\n"
        assert sandbox.run(code, CLIP, "why?", (), tools(Signalling())) == "yes"
        assert server in sandbox._idle, "it was not lost"


def test_sandbox_works_in_container_with_one_user() -> None:
    body = (
        "from aotd.sandbox.process import Limits, Sandbox\n"
        "from tests.sandbox.test_process import CLIP, HEAD, HERE, tools\n"
        "from tests.conftest import Scripted\n"
        "with Sandbox(Limits(), HERE) as sandbox:\n"
        "    print(sandbox.run(HEAD + '    return query\\n', CLIP, 'why?', (), tools(Scripted())))\n"
    )
    alone = ["unshare", "--user", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    ran = subprocess.run([*alone, sys.executable, "-c", body], capture_output=True, text=True, check=False, timeout=60)
    assert ran.stdout == "why?\n", ran.stderr
