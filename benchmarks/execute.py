"""How much faster `execute` is than running programs the published way, and whether it finds the same.

    python -m benchmarks.execute
    python -m benchmarks.execute --one 2 --eight 1 --profile      # a short one; where our time goes

The rival is `benchmarks/sequential.py`; the models are those of `benchmarks/small_models.py`, the same for both. Two
settings: one question about each of 28 videos, and eight questions about each of four. Both executors begin with
nothing kept; no clock runs while models are loaded and decoders are started (`aotd.runtime.meter`).

Videos are playroom's, each seen whole, in 32 frames, as AoTD's executor sees STAR's and NExT-QA's. Of four programs
three go through what the options name, one thing after the other, as programs of ViperGPT's do: they ask the detector
about the same 32 frames eight times or so. One is what the author `annotated` writes for the question, which finds a
moment first and looks only there. So on the mean a program asks the detector about seven times; the table says how
often each tool is called.

The models keep the proportions of a small agent: a frame costs the detector some 30 ms here, the vision tower of the
Video-LLM a quarter of that, CLIP a tenth. The language model is that of a small Video-LLM (of the size of 0.5 B beside
OWLv2 base). What it reads and writes is seldom the same for two questions, so neither executor can save it: beside a
language model of 7 B, the ratios of time would be much smaller, and that of passes the same.

The last line is JSON: `encoder_ratio`, pictures through an image tower, the rival's over ours, in both settings
together (`encoder_ratios` has each); `one_ratio` and `eight_ratio`, seconds, the rival's over ours; `same_traces`,
whether the records of both executors, and of ours with other batches and numbers of programs at once, are the same byte
for byte; `warm_calls`, how often a model was called when the questions of the second setting were asked again in
another run that was given the first one's cache (as often as before, where there is no setting `cache.folder`).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from aotd.commands.run import run_verb
from aotd.config.command_line import read_settings
from aotd.config.tree import Config
from aotd.datasets.star import OBJECTS
from aotd.decompose.annotated import write
from aotd.records import Program, Question, Trace
from aotd.runtime.meter import Meter
from aotd.specialists.load import load_specialist
from aotd.specialists.protocols import Specialists
from aotd.store.stage import Stage
from aotd.video.clip import Clip
from aotd.video.source import DecodedVideos
from benchmarks.sequential import calls_counted, load_rival, pictures_counted, run_sequentially, shown
from benchmarks.small_models import threshold_for, write_models

FRAMES, BOXES = 32, 2.0
"""Frames of a video, and boxes that the detector finds in one, on the mean over some queries."""
ACTION_FRAMES = 8
"""Frames that X-CLIP takes of a clip."""
WORLD = ["dataset.playroom.train_videos=16", "dataset.playroom.val_videos=8", "dataset.playroom.test_videos=8"]
TURN = 4
"""Programs that the rival runs, one of each kind, until it is our turn."""
OTHERWISE = (["batch=1"], ["batch=3", "concurrency=3"], ["batch=32"], ["concurrency=1"])
"""Settings under which the records must be the same."""


@dataclass(frozen=True)
class Measured:
    """One executor's way through some questions."""

    seconds: float
    cpu_s: float
    """What this process and its threads computed, for ours the loading of weights included; a busy machine disturbs it
    less."""
    pictures: int
    programs: int
    records: bytes
    """What was written, a line for each program, sorted."""


def together(several: Sequence[Measured], share: float) -> Measured:
    """Of parts the sum (`share` 1), of n runs of the same the mean (1 / n)."""
    lines = sorted({line for one in several for line in one.records.splitlines(keepends=True)})
    return Measured(
        sum(one.seconds for one in several) * share,
        sum(one.cpu_s for one in several) * share,
        round(sum(one.pictures for one in several) * share),
        len(lines),
        b"".join(lines),
    )


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────


def playroom(folder: Path, one: int, eight: int) -> tuple[list[Question], list[Question]]:
    """A question about each of some videos, and eight about each of some others.

    Questions of the world ask about parts of a video. Here all are about the whole of it, as AoTD's executor has it.
    """
    run_verb("load", read_settings("load", [f"run={folder}/world", f"dataset.root={folder}/videos", *WORLD]))
    questions = [
        question.model_copy(update={"start_s": None, "end_s": None})
        for question in Stage(folder / "world", "load", Question).records()
        if question.options
    ]
    videos = [list(group) for _, group in groupby(sorted(questions, key=_video), key=_video)]
    assert one + eight <= len(videos), f"the world has {len(videos)} videos"
    # Of different types: the first question about a video is a count as a rule.
    single = [asked[at % len(asked)] for at, asked in enumerate(videos[:one])]
    several = [
        question.model_copy(
            update={"question_id": f"{asked[0].video_id}-{at}", "video_id": asked[0].video_id, "video": asked[0].video}
        )
        for number, asked in enumerate(videos[one : one + eight])
        # Its own, and where there are not so many, those about the videos after it.
        for at, question in enumerate([q for other in (videos * 2)[one + number :] for q in other][:8])
    ]
    return single, several


def program(number: int, question: Question) -> str:
    """A program for a question: one of four is the annotated one, the others go through things."""
    if number % 4 == 3:
        return write(question)
    things = _things(question)
    asked = (
        'info["what is done"] = Query_Actions(moment, None, possible_answers)[:1]'
        if number % 4 != 1
        else 'info["what is seen"] = Video_query(moment, query)'
    )
    return f"""\
def execute_command(video_clip, query, possible_answers):
    moment = Filter_frames_with_act(video_clip, query)
    info = {{}}
    for thing in {things!r}:
        info[thing + " is seen"] = exist(video_clip, thing)
    person = Find(video_clip, "person")
    shown = Filter_frames_with_obj(video_clip, {things[0]!r})
    info["how many there are of {things[0]}"] = Count(video_clip, {things[0]!r})
    boxes = Query_Objs(video_clip, {things[1]!r})
    info["how often {things[1]} is seen"] = len(boxes)
    {asked}
    return select_answer(query, info, possible_answers)
"""


def _video(question: Question) -> str:
    return question.video_id


def _things(question: Question) -> list[str]:
    """What the options and the question name, and what is in most rooms: five or six things."""
    text = " ".join((*question.options, question.question)).lower()
    named = sorted((name for name in OBJECTS[1:] if re.search(rf"\b{name}s?\b", text)), key=text.index)
    usual = [name for name in ("table", "door", "chair", "window", "floor") if name not in named]
    return [*named, *usual][: max(5, min(len(named), 6))]


# ── the runs ──────────────────────────────────────────────────────────────────────────────────────


def settings(folder: Path, name: str, *more: str) -> Config:
    """The settings of a run over the models in a folder."""
    models = folder / "models"
    chosen = {"detection": ("owlv2", "owlv2"), "grounding": ("univtg", "univtg"), "action": ("xclip", "xclip")}
    chosen["answering"] = ("llava_next_video", "llava")
    words = [f"run={folder}/runs/{name}", f"dataset.root={folder}/videos", f"specialists.frames={FRAMES}"]
    for part, (kind, model) in chosen.items():
        words += [f"specialists/{part}={kind}", f"specialists.{part}.model={models}/{model}"]
    return read_settings("execute", [*words, f"specialists.grounding.clip={models}/clip", *more])


def prepare(config: Config, questions: Sequence[Question], programs: dict[str, str]) -> None:
    """Write what stands before `execute` in a run."""
    run = Path(config.run)
    with Stage(run, "load", Question).open({}) as loaded, Stage(run, "decompose", Program).open({}) as decomposed:
        for question in questions:
            key = question.question_id
            loaded.write(question)
            decomposed.write(Program(question_id=key, code=programs[key], author="benchmark", attempts=1))


def records(config: Config) -> bytes:
    """The lines that an executor has written, sorted."""
    files = [Path(config.run) / "execute" / f"{name}.jsonl" for name in ("records", "dropped")]
    return b"".join(sorted(line for file in files for line in file.read_bytes().splitlines(keepends=True)))


def traces(config: Config) -> list[Trace]:
    return Stage(Path(config.run), "execute", Trace).records()


# ── measuring ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Bench:
    """The world, the models and the programs; measures executors on them."""

    folder: Path
    threshold: float
    programs: dict[str, str]

    def config(self, name: str, questions: Sequence[Question], *more: str) -> Config:
        """Settings of a new run, with what stands before `execute` in it."""
        config = settings(self.folder, name, f"specialists.detection.threshold={self.threshold}", *more)
        prepare(config, questions, self.programs)
        return config

    def rival(self, name: str, questions: Sequence[Question], specialists: Specialists) -> Measured:
        config = self.config(f"{name}-sequential", questions)
        before = time.process_time()
        with pictures_counted() as pictures, Meter() as meter:
            run_sequentially(config, specialists)
        cpu_s = time.process_time() - before
        assert len(traces(config)) == len(questions), "every program here ends in an answer"
        given = sum(shown(done, config.specialists, ACTION_FRAMES) for done in traces(config))
        # A crop that is too thin to be looked at is given to a tool and goes through no tower.
        assert 0.98 * given <= pictures.total <= given, f"the rival saw {pictures.total} pictures of {given}"
        return Measured(meter.seconds, cpu_s, pictures.total, len(questions), records(config))

    def ours(self, name: str, questions: Sequence[Question], *more: str, cache: str = "") -> Measured:
        """A run with what was kept of another one, or with nothing."""
        config = self.config(name, questions, *more, f"cache.folder={self.folder}/cache/{cache or name}")
        before = time.process_time()
        with pictures_counted() as pictures, Meter() as meter:
            run_verb("execute", config)
        cpu_s = time.process_time() - before
        return Measured(meter.seconds, cpu_s, pictures.total, len(questions), records(config))


def otherwise() -> list[list[str]]:
    """`OTHERWISE`, in full."""
    names = {"batch": [f"specialists.{part}.batch" for part in ("detection", "grounding", "action", "answering")]}
    names["concurrency"] = ["execute.concurrency"]
    pairs = [[word.split("=") for word in words] for words in OTHERWISE]
    return [[f"{full}={value}" for key, value in one for full in names[key]] for one in pairs]


def build(folder: Path, one: int, eight: int, seed: int) -> tuple[Bench, list[Question], list[Question]]:
    """Everything that is needed before anything is measured."""
    single, several = playroom(folder, one, eight)
    asked = [*single, *several]
    programs = {question.question_id: program(number, question) for number, question in enumerate(asked)}
    source = DecodedVideos(str(folder / "videos"), FRAMES, 60.0)
    clips = [Clip.whole(source.open(question)) for question in (single[0], several[0])]
    frames = [clip.pixels(number) for clip in clips for number in range(0, FRAMES, 4)]
    texts = [text for question in asked for text in (question.question, *question.options)]
    write_models(folder / "models", frames, texts, seed)
    config = settings(folder, "threshold", "specialists.detection.threshold=0")
    detector = load_specialist("detection", config.specialists, config.dataset.root)
    threshold = threshold_for(detector, clips[0].span(0, 8), ["person", *OBJECTS[5:30:4]], BOXES)
    source.close()
    return Bench(folder, threshold, programs), single, several


def table(title: str, rows: Sequence[tuple[str, ...]], *columns: str) -> None:
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*row)
    Console(width=120).print(made)


def asked_table(done: Sequence[Trace]) -> None:
    calls = Counter(event.tool for one in done for event in one.events)
    frames = Counter({tool: sum(len(e.frames) for one in done for e in one.events if e.tool == tool) for tool in calls})
    rows = [(tool, f"{n / len(done):.2f}", f"{frames[tool] / n:.1f}") for tool, n in calls.most_common()]
    table(f"what {len(done)} programs ask", rows, "tool", "calls per program", "frames per call")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=int, default=28, help="videos with one question")
    parser.add_argument("--eight", type=int, default=4, help="videos with eight questions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="say where our time goes, and measure nothing else")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench, single, several = build(folder, told.one, told.eight, told.seed)
        if told.profile:
            profile(bench, {"one": single, "eight": several})
            return
        measure(bench, {"one": single, "eight": several})


def profile(bench: Bench, asked: dict[str, list[Question]]) -> None:
    for name, questions in asked.items():
        profiler = cProfile.Profile()
        profiler.enable()
        done = bench.ours(name, questions)
        profiler.disable()
        print(f"{name}: {done.seconds:.2f} s, {done.pictures} pictures")
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(r"aotd/|image_processing|modeling_", 60)


def measure(bench: Bench, asked: dict[str, list[Question]]) -> None:
    others = load_rival(bench.config("rival", []))
    # A program of each before the clock runs: weights are loaded, and what torch does once is done.
    for warm in (partial(bench.rival, specialists=others), bench.ours):
        warm("warm", asked["one"][-1:])
    rival: dict[str, Measured] = {}
    ours: dict[str, Measured] = {}
    same: dict[str, bool] = {}
    for name, questions in asked.items():
        # In turn, the rival a few programs at a time and all of ours after each: a machine that slows down slows both.
        theirs, every = [], []
        for number, first in enumerate(range(0, len(questions), TURN)):
            theirs.append(bench.rival(f"{name}-{number}", questions[first : first + TURN], others))
            every.append(bench.ours(f"{name}-{number}", questions))
            same[f"{name}, run {number + 1}"] = every[-1].records == every[0].records
        rival[name], ours[name] = together(theirs, 1.0), together(every, 1 / len(every))
        for who, measured in ((f"sequential, {TURN} programs each", theirs), ("ours, all of them", every)):
            print(f"{name}: seconds of {who}:", *(f"{one.seconds:.1f}" for one in measured))
    with calls_counted() as calls:
        again = bench.ours("again", asked["eight"], cache="eight-0")
    same |= {name: rival[name].records == ours[name].records for name in asked}
    same["again"] = again.records == ours["eight"].records
    some = [*asked["one"][:4], *asked["eight"][:8]]
    lines = {json.loads(line)["question_id"]: line for one in rival.values() for line in one.records.splitlines(True)}
    wanted = sorted(lines[question.question_id] for question in some)
    for number, words in enumerate(otherwise()):
        found = bench.ours(f"otherwise-{number}", some, *words)
        same[" ".join(dict.fromkeys(word.rpartition(".")[2] for word in words))] = (
            sorted(found.records.splitlines(True)) == wanted
        )
    asked_table([Trace.model_validate_json(line) for line in lines.values() if b'"events"' in line])
    rows = []
    for name in asked:
        there, here = rival[name], ours[name]
        for who, one in ((f"{name}: sequential", there), (f"{name}: ours", here)):
            each = (one.seconds / one.programs, one.pictures / one.programs)
            rows.append(
                (who, str(one.programs), f"{one.seconds:.1f}", f"{one.cpu_s:.1f}", f"{each[0]:.2f}", f"{each[1]:.1f}")
            )
    table("two executors", rows, "", "programs", "seconds", "CPU seconds", "seconds each", "pictures each")
    for what, whether in same.items():
        if not whether:
            print(f"other records: {what}")
    totals = [sum(one.pictures for one in side.values()) for side in (rival, ours)]
    ratios = {name: round(rival[name].seconds / ours[name].seconds, 2) for name in asked}
    print(
        json.dumps(
            {
                "encoder_ratio": round(totals[0] / totals[1], 2),
                "one_ratio": ratios["one"],
                "eight_ratio": ratios["eight"],
                "same_traces": all(same.values()),
                "warm_calls": calls.total,
                "encoder_ratios": {n: round(rival[n].pictures / ours[n].pictures, 2) for n in asked},
                "cpu_ratios": {n: round(rival[n].cpu_s / ours[n].cpu_s, 2) for n in asked},
                "programs": len(lines),
                "threshold": bench.threshold,
            }
        )
    )


if __name__ == "__main__":
    main()
