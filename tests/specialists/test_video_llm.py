"""A Video-LLM as specialist says what its family, in transformers' own hands, says to the same frames and prompt."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file

from aotd.cli.main import main
from aotd.config.command_line import read_settings
from aotd.errors import UserError
from aotd.models import Precision
from aotd.models.checkpoints import checkpoint_name
from aotd.models.cpu import threads
from aotd.models.loading import empty_model
from aotd.models.model_cache import ModelCache
from aotd.models.quantisation import device, precision_name
from aotd.prompts import render
from aotd.records import ActionsFinding, Program, Question, TextFinding, Trace
from aotd.runtime.lru import ByteLRU
from aotd.specialists import AnsweringConfig
from aotd.specialists import video_llm as module
from aotd.specialists.load import load_specialists
from aotd.specialists.prompted import choice_prompt, shown
from aotd.specialists.video_llm import VideoLLMSpecialist
from aotd.store.stage import Stage
from aotd.video.clip import Clip
from aotd.video_llms.families import FAMILIES
from aotd.video_llms.pretrained import family_bytes, read_family_config
from tests.corners import one_thread
from tests.students.test_families import Noise, own_inputs
from tests.students.tiny import MODELS, write_checkpoint
from tests.video.clips import write_video

__all__ = ["one_thread"]
NAMES = list(MODELS)
OPTIONS = ["the book", "opening the door", "a", "the book at the table"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write_checkpoint(name, tmp_path_factory.mktemp(name)) for name in NAMES}


def llm(name: str, path: Path, shelf: ModelCache | None = None, **settings: Any) -> VideoLLMSpecialist:
    config = AnsweringConfig(name=name, model=str(path), **{"frames": 4, **settings})
    return VideoLLMSpecialist(config, "specialists.answering", shelf or ModelCache())


def clips() -> list[Clip]:
    whole = Clip.whole(Noise(video_id="1"))
    return [whole, whole.span(3, 6), whole.crop({2: (3.0, 4.0, 30.0, 20.0), 5: (10.0, 0.0, 18.0, 30.0)})]


class ReferenceModel:
    """The family's model as transformers loads it, and what the specialist's student needs to ask it the same."""

    def __init__(self, specialist: VideoLLMSpecialist, path: Path) -> None:
        self.student = specialist._loaded().student
        self.model = getattr(transformers, type(self.student.model).__name__).from_pretrained(path)
        self.model.train(False)

    def inputs(self, clip: Clip, prompt: str, said: list[int] = ()) -> dict[str, torch.Tensor]:  # type: ignore[assignment]
        frames, moments = shown(clip, 4)
        opening = self.student.video_prefix(self.student.encode_frames(frames, moments))
        return own_inputs(self.student, frames, [*opening.tokens, *self.student.encode_prompt(prompt), *said])

    def reply(self, inputs: dict[str, torch.Tensor], longest: int) -> str:
        end = {"eos_token_id": self.student.end_token, "pad_token_id": self.student.pad_token}
        written = self.model.generate(**inputs, max_new_tokens=longest, do_sample=False, **end)[0]
        return " ".join(self.student.decode(written[inputs["input_ids"].shape[1] :].tolist()).split())

    def log_prob(self, clip: Clip, prompt: str, reply: str) -> float:
        said = self.student.encode_reply(reply)
        with torch.no_grad():
            logits = self.model(**self.inputs(clip, prompt, said[:-1])).logits[0, -len(said) :]
        return float(logits.log_softmax(-1).gather(1, torch.tensor(said)[:, None]).mean())


@pytest.mark.parametrize("name", NAMES)
def test_its_answers_are_the_familys_own(name: str, checkpoints: dict[str, Path], monkeypatch: Any) -> None:
    monkeypatch.setattr("aotd.specialists.prompted._PHRASE_TOKENS", 8)
    specialist = llm(name, checkpoints[name])
    own = ReferenceModel(specialist, checkpoints[name])
    prompt = render("clip_answer", question="What is it?")
    answers = [specialist.answer(clip, "What is it?") for clip in clips()]
    assert answers == [own.reply(own.inputs(clip, prompt), 8) for clip in clips()]
    assert all(answers)


@pytest.mark.parametrize("name", NAMES)
def test_candidates_are_ranked_as_the_familys_own_forward_scores_each_alone(
    name: str, checkpoints: dict[str, Path]
) -> None:
    specialist = llm(name, checkpoints[name])
    own = ReferenceModel(specialist, checkpoints[name])
    seen = set()
    for clip in clips():
        prompt = render("clip_action_with", thing="door")
        scores = {option: own.log_prob(clip, prompt, option) for option in OPTIONS}
        wanted = sorted(OPTIONS, key=lambda option: -scores[option])
        assert specialist.actions(clip, "door", OPTIONS) == wanted
        assert specialist.actions(clip, "door", OPTIONS[::-1]) == wanted, "the order of the candidates says nothing"
        seen.add(tuple(scores.values()))
    assert len(seen) == 3, "what is shown makes a difference"


@pytest.mark.parametrize("name", NAMES)
def test_the_option_is_that_of_the_likeliest_letter(name: str, checkpoints: dict[str, Path]) -> None:
    specialist = llm(name, checkpoints[name])
    own = ReferenceModel(specialist, checkpoints[name])
    for question in ("what?", "who was it?", "and then?", "why did it fall?"):
        listed = "\n".join(f"({letter}) {option}" for letter, option in zip("ABCD", OPTIONS, strict=True))
        prompt = render("choose_option", question=question, notes="seen: a door", options=listed)
        row = own.student.text_row(prompt)
        with torch.no_grad():
            logits = own.model(input_ids=torch.tensor([[*row.prefix.tokens, *row.texts[0]]])).logits[0, -1]
        letters = [own.student.encode_reply(letter)[0] for letter in "ABCD"]
        wanted = OPTIONS[int(logits[letters].argmax())]
        assert specialist.choose(question, {"seen": "a door", "actions": "nothing"}, OPTIONS) == wanted


def test_what_prompts_for_a_choice_begin_with_is_read_once(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    specialist = llm("llava_next_video", checkpoints["llava_next_video"])
    model, read = specialist._loaded().student.model, []
    given = model._embed
    monkeypatch.setattr(model, "_embed", lambda views, ids: read.append(ids.shape[1]) or given(views, ids))
    prompt = choice_prompt("what?", {"seen": "a door"}, OPTIONS)
    whole = len(specialist._loaded().student.text_row(prompt).prefix.tokens) + 1
    for _ in range(2):
        specialist.choose("what?", {"seen": "a door"}, OPTIONS)
    beginning, first, second = read
    assert first == second == whole - beginning
    assert beginning > first, "the instruction is longer than question, notes and options"


@pytest.mark.parametrize("name", NAMES)
def test_prompts_in_one_batch_do_not_touch_each_other(
    name: str, checkpoints: dict[str, Path], monkeypatch: Any
) -> None:
    monkeypatch.setattr("aotd.specialists.prompted._SENTENCES_TOKENS", 16)
    together, alone = llm(name, checkpoints[name], batch=8), llm(name, checkpoints[name], batch=1)
    several = [*clips(), Clip.whole(Noise(video_id="2")), Clip.whole(Noise(video_id="2")).span(0, 3)]
    found = together.summarise_all([(clip, "who?") for clip in several])
    assert (
        found
        == alone.summarise_all([(clip, "who?") for clip in several])
        == [alone.summarise(clip, "who?") for clip in several]
    )


def test_a_clip_is_looked_at_once_and_the_last_ones_are_kept(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    specialist = llm("llava_next_video", checkpoints["llava_next_video"])
    student, looks = specialist._loaded().student, []
    look = student.encode_frames
    monkeypatch.setattr(
        student, "encode_frames", lambda frames, moments: looks.append(len(frames)) or look(frames, moments)
    )
    whole, part, cropped = clips()
    for _ in range(2):
        specialist.answer(whole, "what?")
        specialist.actions(whole, None, OPTIONS)
        specialist.summarise(part, "")
        specialist.summarise(cropped, "")
    assert looks == [4, 3, 2]
    specialist.answer(whole.crop({2: (3.0, 4.0, 31.0, 20.0), 5: (10.0, 0.0, 18.0, 30.0)}), "what?")
    assert looks == [4, 3, 2, 2], "another crop is another clip"
    monkeypatch.setattr(specialist._loaded(), "_features", ByteLRU(1, lambda features: 1))
    for clip in (part, part, whole):
        specialist.answer(clip, "what?")
    assert looks == [4, 3, 2, 2, 3, 4], "the last one always stays, the others made room"


@pytest.mark.skipif(device().type != "cpu", reason="of a GPU there is one")
def test_a_small_one_computes_on_one_core_and_says_the_same(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, where = [], []
    for largest in (threads.SMALL_BYTES, 0):
        monkeypatch.setattr(threads, "SMALL_BYTES", largest)
        specialist, names = llm("llava_next_video", checkpoints["llava_next_video"]), set()
        for part in specialist._loaded().student.model.modules():
            part.register_forward_pre_hook(lambda *_, names=names: names.add(threading.current_thread().name[:5]))
        clip = clips()[0]
        said.append(
            [
                specialist.answer(clip, "what?"),
                specialist.actions(clip, None, OPTIONS),
                specialist.choose("what?", {"seen": "a door"}, OPTIONS),
            ]
        )
        where.append(names)
    assert said[0] == said[1]
    assert where == [{"tower"}, {threading.current_thread().name[:5]}]


def test_one_checkpoint_is_loaded_once_for_both_sub_tasks(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    read = module.read_checkpoint
    monkeypatch.setattr(module, "read_checkpoint", lambda *a, **k: loads.append(a[1]) or read(*a, **k))
    path = checkpoints["qwen_vl"]
    parts = [f"specialists/{part}=qwen_vl" for part in ("action", "answering")]
    models = [f"specialists.{part}.model={path}" for part in ("action", "answering")]
    same = f"specialists.action.precision={precision_name(Precision.auto)}"
    config = read_settings("execute", ["specialists=mock", *parts, *models, same]).specialists
    assert config.weighty()
    specialists = load_specialists(config, ".")
    assert loads == [], "nothing is loaded before it is asked"
    specialists.action.actions(clips()[0], None, OPTIONS)
    specialists.answering.answer(clips()[0], "what?")
    assert loads == [str(path)]
    assert specialists.action.model == specialists.answering.model
    assert "qwen_vl" in specialists.action.model


@pytest.mark.parametrize("name", NAMES)
def test_the_size_is_that_of_the_weights_and_needs_none(name: str, checkpoints: dict[str, Path]) -> None:
    specialist = llm(name, checkpoints[name], precision=Precision.float16)
    model = specialist._loaded().student.model
    assert {weight.dtype for weight in model.parameters()} == {torch.float16}
    assert specialist.size == sum(weight.nbytes for weight in model.parameters())
    family = FAMILIES[name]
    assert family_bytes(family, str(checkpoints[name]), "x.model", Precision.float32) == 2 * specialist.size
    config = read_family_config(family, str(checkpoints[name]), "x.model")
    empty = empty_model(family.model_class, config)
    assert all(weight.is_meta for weight in empty.parameters())
    linear = sum(m.weight.numel() for m in empty.language_model_of().modules() if isinstance(m, torch.nn.Linear))
    rows = sum(m.weight.shape[0] for m in empty.language_model_of().modules() if isinstance(m, torch.nn.Linear))
    assert (
        family_bytes(family, str(checkpoints[name]), "x.model", Precision.int8) == specialist.size - linear + 4 * rows
    )
    fewest = family_bytes(family, str(checkpoints[name]), "x.model", Precision.int4)
    assert specialist.size - 1.5 * linear < fewest < specialist.size - 1.48 * linear


def test_a_budget_that_it_does_not_fit_is_one_line(checkpoints: dict[str, Path]) -> None:
    specialist = llm("video_llava", checkpoints["video_llava"], ModelCache(budget_gb=1e-6))
    with pytest.raises(UserError, match=r"memory_gb: video_llava .* by itself"):
        specialist.answer(clips()[0], "what?")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without a GPU says")
def test_few_bits_without_a_gpu_are_one_line(checkpoints: dict[str, Path]) -> None:
    for precision in (Precision.int8, Precision.int4):
        with pytest.raises(UserError, match=r"specialists\.answering\.precision=int. needs a GPU"):
            llm("qwen_vl", checkpoints["qwen_vl"], precision=precision)


def test_few_bits_without_the_extra_name_it(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("aotd.models.quantisation.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'aotd\[bits\]'"):
        llm("qwen_vl", checkpoints["qwen_vl"], precision=Precision.int4)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("video_llava", {"model": ""}, r"specialists\.answering\.model: video_llava needs a checkpoint"),
        ("video_llava", {"model": "/nowhere"}, r"specialists\.answering\.model=/nowhere: there is no checkpoint"),
        ("video_llava", {}, r"holds a qwen3_vl model, and specialists\.answering\.name wants video_llava"),
        ("qwen_vl", {"frames": 0}, r"specialists\.answering\.frames=0 must be 1 or more"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_loaded(
    name: str, settings: dict[str, Any], says: str, checkpoints: dict[str, Path]
) -> None:
    config = replace(AnsweringConfig(name=name, model=str(checkpoints["qwen_vl"])), **settings)
    with pytest.raises(UserError, match=says):
        VideoLLMSpecialist(config, "specialists.answering", ModelCache())


def test_the_models_name_changes_with_its_weights(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    before = checkpoint_name(str(checkpoints["qwen_vl"]))
    again = write_checkpoint("qwen_vl", tmp_path / "qwen_vl")
    assert checkpoint_name(str(again)).split()[1] == before.split()[1]
    model = transformers.AutoModelForImageTextToText.from_pretrained(again)
    with torch.no_grad():
        model.lm_head.weight.add_(1)
    model.save_pretrained(again)
    assert checkpoint_name(str(again)).split()[1] != before.split()[1]


def test_a_change_far_from_the_end_of_a_large_file_changes_the_name(tmp_path: Path) -> None:
    names = set()
    for first in (0.0, 1.0):
        folder = tmp_path / str(first) / "model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        save_file({"a": torch.tensor([first]), "tower": torch.zeros(600_000)}, folder / "model.safetensors")
        names.add(checkpoint_name(str(folder)))
    assert len(names) == 2, "a frozen tower at the end does not hide what was trained"


PROGRAM = """
def execute_command(video_clip, query, possible_answers):
    opening = Filter_frames_with_act(video_clip, "person opening the door")
    after = trim(video_clip, opening.start, None)
    person = Find(after, "person")
    actions = Query_Actions(person, "door", possible_answers)
    named = Query_Actions(after)
    seen = Video_query(person, "What is in the hand?")
    summary = Video_summary(after, query)
    info = {"actions": actions, "other actions": named, "in the hand": seen, "summary": summary}
    return select_answer(query, info, possible_answers)
"""


@pytest.mark.parametrize("name", ["llava_next_video", "qwen_vl"])
def test_execute_runs_a_program_through_it(name: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/day.mp4")
    options = ("Open the door.", "Hold the book.", "Close the door.")
    question = Question(
        question_id="q", dataset="d", split="val", video_id="day", video="day.mp4", question="What happened after?",
        type="Sequence_T1", options=options, answer=options[0],
    )  # fmt: skip
    with Stage(tmp_path / "run", "load", Question).open({}) as loaded:
        loaded.write(question)
    with Stage(tmp_path / "run", "decompose", Program).open({}) as written:
        written.write(Program(question_id="q", code=PROGRAM.lstrip(), author="test", attempts=1))
    parts = [f"specialists/{part}={name}" for part in ("action", "answering")]
    models = [f"specialists.{part}.model={checkpoints[name]}" for part in ("action", "answering")]
    words = [f"run={tmp_path}/run", f"dataset.root={tmp_path}/videos", "specialists=mock", *parts, *models]
    assert main(["execute", *words, "specialists.source=video", "specialists.frames=8"]) == 0
    stage = Stage(tmp_path / "run", "execute", Trace)
    assert stage.dropped() == []
    (trace,) = stage.records()
    assert trace.answer in options
    found = {event.tool: event.finding for event in trace.events if event.finding is not None}
    ranked = next(event.finding for event in trace.events if event.tool == "Query_Actions")
    assert isinstance(ranked, ActionsFinding)
    assert sorted(ranked.actions) == sorted(options)
    for tool in ("Video_query", "Video_summary"):
        finding = found[tool]
        assert isinstance(finding, TextFinding)
        assert finding.text
    models_in_manifest = json.loads((tmp_path / "run/execute/manifest.json").read_text())["models"]
    assert models_in_manifest["action"].startswith(f"{name} ")


@pytest.mark.parametrize("name", [*NAMES, "server"])
def test_each_has_a_config_for_both_sub_tasks(name: str) -> None:
    config = read_settings("execute", [f"specialists/{part}={name}" for part in ("action", "answering")]).specialists
    assert config.action.name == config.answering.name == name
    assert bool(config.action.model) == bool(config.answering.model) == (name != "server")
    assert 8 <= config.action.frames == config.answering.frames <= 32
