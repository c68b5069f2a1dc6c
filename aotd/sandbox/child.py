"""The program's side of the wall. Runs as `python -I -S child.py`, imports nothing of ours.

Messages are lines of JSON. In: one `start` with the program and its limits, then replies to calls.
Out: `call`s of tools, then one `end` with the answer or the error. A clip is a handle and its frame
numbers; nothing else about the video ever comes here.
"""

import json
import sys

BUILTINS = (
    "abs", "all", "any", "bool", "dict", "divmod", "enumerate", "filter", "float", "int", "isinstance", "len",
    "list", "map", "max", "min", "range", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip",
    "ValueError", "True", "False", "None",
)  # fmt: skip
FIELDS = ("frames", "start", "end", "frame", "x1", "y1", "x2", "y2", "label", "score")
"""What a program may read of a clip or of a box."""


class Clip:
    """A handle to a clip in the parent."""

    def __init__(self, handle, frames):
        self._handle = handle
        self.frames = list(frames)

    @property
    def start(self):
        """Number of the first frame; 0 in an empty clip."""
        return self.frames[0] if self.frames else 0

    @property
    def end(self):
        """One past the number of the last frame; 0 in an empty clip."""
        return self.frames[-1] + 1 if self.frames else 0

    def __len__(self):
        return len(self.frames)


class Box:
    """One detection."""

    def __init__(self, frame, box, label, score):
        self.frame, self.label, self.score = frame, label, score
        self.x1, self.y1, self.x2, self.y2 = box

    def plain(self):
        box = [self.x1, self.y1, self.x2, self.y2]
        return {"frame": self.frame, "box": box, "label": self.label, "score": self.score}


def encode(value):
    """A program's value as JSON; clips and boxes are tagged."""
    if isinstance(value, Clip):
        return {"!": "clip", "handle": value._handle}
    if isinstance(value, Box):
        return {"!": "box", **value.plain()}
    if isinstance(value, dict):
        return {"!": "dict", "items": [[str(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, set)):
        return [encode(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"a tool cannot be given a {type(value).__name__}")


def decode(value):
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if value["!"] == "clip":
            return Clip(value["handle"], value["frames"])
        return Box(value["frame"], value["box"], value["label"], value["score"])
    return value


class ToolCallError(Exception):
    """The parent refused a call."""


def main():
    wire_in, wire_out = sys.stdin.buffer, sys.stdout.buffer

    def send(message):
        wire_out.write(json.dumps(message).encode() + b"\n")
        wire_out.flush()

    start = json.loads(wire_in.readline())
    limit_memory(start["memory_bytes"], start["cpu_s"])

    def tool(name):
        def proxy(*arguments, **keywords):
            send(
                {
                    "call": name,
                    "arguments": [encode(item) for item in arguments],
                    "keywords": {key: encode(item) for key, item in keywords.items()},
                }
            )
            reply = json.loads(wire_in.readline())
            if "error" in reply:
                raise ToolCallError(reply["error"])
            return decode(reply["result"])

        return proxy

    import builtins

    scope = {"__builtins__": {name: getattr(builtins, name) for name in BUILTINS}}
    scope.update({name: tool(name) for name in start["tools"]})
    try:
        exec(compile(start["code"], "<program>", "exec"), scope)  # noqa: S102  that is what this process is for
        answer = scope["execute_command"](decode(start["clip"]), start["query"], start["possible_answers"])
        if isinstance(answer, (list, tuple)) and len(answer) == 1:
            answer = answer[0]
        if isinstance(answer, bool):
            answer = "yes" if answer else "no"
        if isinstance(answer, (int, float)):
            answer = str(answer)
        if isinstance(answer, str):
            send({"end": answer})
        else:
            send({"no_answer": f"returned a {type(answer).__name__}, not an answer"})
    except MemoryError:
        send({"memory": "ran out of memory"})
    except Exception as error:  # noqa: BLE001  the sandbox's edge: what a program raises becomes an outcome
        send({"error": f"{type(error).__name__}: {error}"[:500], "line": line_of(error)})


def limit_memory(memory_bytes, cpu_s):
    """Address space and processor time; a system without rlimits is stopped by the parent's clock only."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def line_of(error):
    """Line of the program in which it raised."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


if __name__ == "__main__":
    main()
