"""What a student is asked that it was trained on: each way of overlapping, and what only looks like one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aotd.config.tree import Config
from aotd.datasets.base import DatasetConfig
from aotd.errors import UserError
from aotd.evaluate import EvaluateConfig
from aotd.evaluate.contamination import video_of, write_contamination
from aotd.records import Example, Mode, Prediction, Question
from aotd.scoring.tables import Contamination, Match
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.students.growth import GROWN, Growth
from aotd.view.contamination_table import print_leaks
from tests.corners import corner_config
from tests.jobs import do
from tests.sample_run import write

OPTIONS = ("the book", "the bag", "a red cup")


def question(key: str, name: str, words: str = "", split: str = "train", **other: Any) -> Question:
    """A question of a benchmark, whose words are its own unless others are given."""
    fields = {"dataset": "d", "video": f"{name}.mp4", "type": "T", "options": OPTIONS, "answer": "the book", **other}
    words = words or f"what does {key} do with {name} while nobody in room {key} looks"
    return Question(question_id=key, split=split, video_id=name, question=words, **fields)


TRAINED = [question("t1", "a"), question("t2", "b"), question("t3", "c", "what happens at the end of the video?")]


def train(run: Path, name: str, load: Path, trained: Sequence[Question], **settings: Any) -> None:
    """An arm's folder, as if it had been distilled from the questions of `load`."""
    made = {"arm": {"train": True}, "student": {"path": ""}, "mixture": [], **settings}
    stage = f"{load}/load" if made["mixture"] else "load"
    inputs = {stage: Stage(load, "load", Question).manifest_digest()}
    with Stage(run, f"distill/{name}", Example).open(made, inputs=inputs) as out:
        for one in trained:
            out.write(Example(question_id=one.question_id, prompt=one.question, answer="A", rationale=None))


def answer(run: Path, arm: str, right: dict[str, bool]) -> None:
    said = [
        Prediction(question_id=key, arm=arm, mode=Mode.answer, text="A", parsed="the book", correct=correct)
        for key, correct in right.items()
    ]
    write(run, f"evaluate/{arm}/answer", Prediction, said)


def config(run: Path, root: Path, **settings: Any) -> Config:
    evaluated = EvaluateConfig(split="test", resamples=50, **settings)
    return Config(run=str(run), dataset=DatasetConfig(root=str(root)), evaluate=evaluated)


def found_in(settings: Config, arms: Mapping[str, Path], asked: Sequence[Question]) -> list[Contamination]:
    """What is found of some questions in the training of arms."""
    run = Run(Path(settings.run))
    return write_contamination(run, arms, asked, settings.evaluate, settings.dataset.root, settings.seed)


def seen(
    tmp_path: Path, asked: Sequence[Question], trained: Sequence[Question] = TRAINED, right: Sequence[bool] = ()
) -> Contamination:
    """What the arm `aotd` of a run that holds both has seen of `asked`; videos lie in `tmp_path/videos`."""
    run = tmp_path / "run"
    write(run, "load", Question, [*trained, *asked])
    train(run, "aotd", run, trained)
    answer(run, "aotd", {one.question_id: ok for one, ok in zip(asked, right, strict=False)})
    (found,) = found_in(config(run, tmp_path / "videos"), {"aotd": run / "distill" / "aotd"}, asked)
    assert Contamination.model_validate_json((run / "evaluate" / "aotd" / "seen.json").read_bytes()) == found
    return found


def printed(found: Sequence[Contamination], width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as shown:
        print_leaks(console, found)
    return shown.get()


def video(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "videos" / f"{name}.mp4"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def test_clean_student_is_one_line(tmp_path: Path) -> None:
    found = seen(tmp_path, [question("e1", "x"), question("e2", "x"), question("e3", "y")])
    assert (found.leaks, found.same_id, found.same_video, found.same_content, found.same_question) == ((),) * 5
    assert (found.repeated, found.untraced, found.asked_questions, found.asked_videos) == (0, 0, 3, 2)
    assert (found.trained_questions, found.trained_videos) == (3, 3)
    line = printed([found])
    assert line.count("\n") == 1
    assert line.startswith(
        "aotd: trained on 3 questions about 3 videos; "
        "none of the 3 questions or 2 videos asked here are among them; the files of 5 videos are not there"
    )


def test_trained_video_is_a_leak_and_the_rest_is_clean(tmp_path: Path) -> None:
    asked = [question("e1", "a"), question("e2", "x"), question("e3", "y"), question("e4", "x", options=())]
    found = seen(tmp_path, asked, right=(True, False, True, True))
    assert found.same_video == (Match(asked="d/a", trained="d/a"),)
    assert found.leaks == ("e1",)
    assert (found.same_question, found.same_id, found.same_content) == ((), (), ())
    assert found.multiple_choice is not None
    assert found.multiple_choice_clean is not None
    assert (found.multiple_choice.mean, found.multiple_choice.n) == (2 / 3, 3)
    assert (found.multiple_choice_clean.mean, found.multiple_choice_clean.n) == (1 / 2, 2)
    assert found.open_ended == found.open_ended_clean
    text = printed([found])
    assert "WARNING: 1 of the 4 questions asked here, or their videos, are among them" in text
    assert "(by question id 0; videos by id 1, by content 0), and 0 of these" in text
    row = next(line for line in text.splitlines() if "66.7" in line)
    cells = [cell.strip().split(" (")[0] for cell in row.strip("│").split("│")]
    assert cells == ["aotd", "1 of 4", "66.7", "50.0", "100.0", "100.0"]


def test_no_clean_score_where_everything_leaked(tmp_path: Path) -> None:
    found = seen(tmp_path, [question("e1", "a")], right=(True,))
    assert found.multiple_choice is not None
    assert (found.multiple_choice_clean, found.open_ended, found.open_ended_clean) == (None, None, None)
    assert "100.0" in printed([found])


def test_same_id_in_another_dataset_is_another_video(tmp_path: Path) -> None:
    assert seen(tmp_path, [question("e1", "a", dataset="other")]).leaks == ()


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (("star", "6H78U"), ("agqa", "6H78U"), True),
        (("mvbench", "data0613/star/Charades_v1_480/6H78U.mp4"), ("star", "6H78U"), True),
        (("mvbench", "perception/videos/video_1.mp4"), ("clevrer", "video_1"), False),
        (("mvbench", "clevrer/video_validation/video_1.mp4"), ("clevrer", "video_1"), True),
        (("mvbench", "perception/videos/video_1.mp4"), ("perceptiontest", "video_1"), True),
        (("mvbench", "video_1.mp4"), ("clevrer", "video_1"), False),
        (("nextqa", "1"), ("nextqa_oe", "1"), True),
        (("activitynetqa", "0123456789a"), ("anetqa", "v_0123456789a"), True),
        (("activitynetqa", "v_234567890"), ("anetqa", "v_v_234567890"), True),
        (("star", "1"), ("nextqa", "1"), False),
    ],
)
def test_video_of_is_equal_for_benchmarks_of_one_collection(
    ours: tuple[str, str], theirs: tuple[str, str], same: bool
) -> None:
    a, b = (video_of(question("q", name, dataset=dataset), None) for dataset, name in (ours, theirs))
    assert (a == b) is same


def test_trained_question_is_a_leak(tmp_path: Path) -> None:
    """The same id, as in a split that is trained and evaluated on, though its video is called otherwise."""
    run = tmp_path / "run"
    write(run, "load", Question, TRAINED)
    train(run, "aotd", run, TRAINED)
    answer(run, "aotd", {})
    (found,) = found_in(config(run, tmp_path), {"aotd": run / "distill" / "aotd"}, [question("t1", "renamed")])
    assert (found.same_id, found.leaks) == ((Match(asked="t1", trained="t1"),), ("t1",))
    assert found.same_video == ()


def test_renamed_copy_of_a_video_is_found_by_its_bytes(tmp_path: Path) -> None:
    video(tmp_path, "a", b"one" * 1000)
    video(tmp_path, "b", b"two" * 1000)
    video(tmp_path, "copy", b"one" * 1000)
    video(tmp_path, "other", b"six" * 1000)
    found = seen(tmp_path, [question("e1", "copy"), question("e2", "other"), question("e3", "nowhere")])
    assert found.same_content == (Match(asked="d/copy", trained="d/a"),)
    assert (found.leaks, found.same_video) == (("e1",), ())
    assert found.not_compared == 2  # c and nowhere


def test_same_bytes_reads_files_of_equal_sizes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    from aotd.evaluate import same_files

    sha256 = same_files.file_digest
    monkeypatch.setattr(same_files, "file_digest", lambda path: read.append(path.name) or sha256(path))
    for name, size in (("a", 10), ("b", 20), ("c", 30), ("x", 10), ("y", 40)):
        video(tmp_path, name, name.encode() * size)
    asked = [question("e1", "x"), question("e2", "y"), question("e3", "c")]
    found = seen(tmp_path, asked)
    assert sorted(read) == ["a.mp4", "x.mp4"]
    # The very file that was trained on needs no reading.
    assert found.same_content == (Match(asked="d/c", trained="d/c"),)
    run = tmp_path / "run"
    assert found_in(config(run, tmp_path / "videos"), {"aotd": run / "distill" / "aotd"}, asked) == [found]
    assert len(read) == 2
    video(tmp_path, "x", b"changed!!!")
    found_in(config(run, tmp_path / "videos"), {"aotd": run / "distill" / "aotd"}, asked)
    assert read[2:] == ["x.mp4"]
    (run / "evaluate" / "videos.json").write_text("[]")
    with pytest.raises(UserError, match=r"videos\.json does not hold digests"):
        found_in(config(run, tmp_path / "videos"), {"aotd": run / "distill" / "aotd"}, asked)


def test_videos_without_a_file_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aotd.evaluate import same_files

    def fails(path: Path) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(same_files, "file_digest", fails)
    video(tmp_path, "a", b"same")
    video(tmp_path, "damaged", b"same")
    video(tmp_path, "b", b"")
    video(tmp_path, "empty", b"")
    (tmp_path / "videos" / "folder.mp4").mkdir()
    asked = [
        question("e1", "damaged"),
        question("e2", "empty"),
        question("e3", "folder"),
        question("e4", "stored", video=None),
        question("e5", "out", video="../out.mp4"),
    ]
    found = seen(tmp_path, asked)
    assert (found.leaks, found.same_content) == ((), ())
    assert found.not_compared == 8
    assert "the files of 8 videos are not there or cannot be read, and were not compared" in printed([found])


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ({"words": "What happens, at the END of a video"}, True),
        ({"words": "what happens at the end of the video?", "options": (*OPTIONS[1:], "the book")}, True),
        ({"words": "what happens at the end of the video?", "options": (), "answer": "Book."}, True),
        ({"words": "what happens at the end of the video?", "answer": None}, True),
        ({"words": "what happens at the end of the video?", "answer": "the bag"}, False),
        ({"words": "what happens at the beginning of the video?"}, False),
    ],
)
def test_same_question_about_a_video_is_recognised(tmp_path: Path, asked: dict[str, Any], same: bool) -> None:
    found = seen(tmp_path, [question("e1", "c", **asked)])
    assert found.leaks == ("e1",)
    assert found.same_question == ((Match(asked="e1", trained="t3"),) if same else ())
    assert found.repeated == 0


def test_nearly_the_same_words_count_in_a_long_question(tmp_path: Path) -> None:
    words = (
        "why did the man in the blue shirt walk over to the girl who was sitting on the big sofa in the middle of {}"
    )
    trained = [question("t1", "a", words.format("the old kitchen at night"))]
    near = question("e1", "a", words.format("the old kitchen at noon"))
    far = question("e2", "a", words.format("some other room at noon"))
    assert seen(tmp_path, [near, far], trained).same_question == (Match(asked="e1", trained="t1"),)


def test_generic_question_about_another_video_is_no_leak(tmp_path: Path) -> None:
    words = "What happens at the end of the video?"
    asked = [
        question("e1", "x", words),
        question("e2", "x", words, options=OPTIONS[::-1]),  # in another order
        question("e3", "y", words, options=("yes", "no"), answer="no"),  # other options: not the same to ask
    ]
    found = seen(tmp_path, asked)
    assert (found.leaks, found.same_question, found.repeated) == ((), (), 2)
    assert "2 repeat the words of one about another video, which is no leak" in printed([found])


def test_leak_is_not_counted_as_repeated(tmp_path: Path) -> None:
    words = "What happens at the end of the video?"
    found = seen(tmp_path, [question("e1", "a", words), question("e2", "x", words), question("e3", "x", words)])
    assert (found.leaks, found.same_question, found.repeated) == (("e1",), (), 2)


def test_copied_video_with_its_question_is_the_same_question(tmp_path: Path) -> None:
    video(tmp_path, "c", b"one" * 1000)
    video(tmp_path, "copy", b"one" * 1000)
    found = seen(tmp_path, [question("e1", "copy", "what happens at the end of the video?")])
    assert found.same_question == (Match(asked="e1", trained="t3"),)
    assert found.repeated == 0


def mixed(tmp_path: Path, **settings: Any) -> tuple[Path, list[Question]]:
    """A run of its own that is asked, and an arm in it that was trained on another run."""
    run, other = tmp_path / "run", tmp_path / "other"
    asked = [question("e1", "copy", dataset="files"), question("e2", "a", dataset="files")]
    trained = [question("t1", "a", dataset="files"), question("t2", "b", dataset="files")]
    write(run, "load", Question, asked)
    write(other, "load", Question, trained)
    for folder in ("videos", "others"):
        (tmp_path / folder).mkdir()
    (tmp_path / "videos" / "copy.mp4").write_bytes(b"one" * 1000)
    (tmp_path / "videos" / "a.mp4").write_bytes(b"two" * 1000)
    (tmp_path / "others" / "a.mp4").write_bytes(b"one" * 1000)
    train(run, "aotd", other, trained, **settings)
    answer(run, "aotd", {})
    return run, asked


def mixture(tmp_path: Path) -> list[dict[str, Any]]:
    return [{"run": str(tmp_path / "other"), "root": str(tmp_path / "others"), "questions": 0, "thoughts": True}]


def test_runs_of_a_mixture_are_searched(tmp_path: Path) -> None:
    run, asked = mixed(tmp_path, mixture=mixture(tmp_path))
    (found,) = found_in(config(run, tmp_path / "videos"), {"aotd": run / "distill" / "aotd"}, asked)
    # `a` of one's own files is another video in another folder; what it holds is asked about as `copy`.
    assert (found.same_video, found.same_content) == ((), (Match(asked="files/copy", trained="files/a"),))
    assert (found.leaks, found.trained_questions, found.trained_videos) == (("e1",), 2, 2)


def test_remade_run_of_a_mixture_is_known_by_ids_only(tmp_path: Path) -> None:
    run, asked = mixed(tmp_path, mixture=mixture(tmp_path))
    path = tmp_path / "other" / "load" / "manifest.json"
    path.write_text(path.read_text() + "\n")
    (found,) = found_in(
        config(run, tmp_path / "videos"), {"aotd": run / "distill" / "aotd"}, [*asked, question("t2", "z")]
    )
    assert (found.untraced, found.leaks) == (2, ("t2",))
    assert "of 2 questions of the training only the ids are known" in printed([found])


def test_linked_student_is_traced_to_its_run(tmp_path: Path) -> None:
    home, run = tmp_path / "home", tmp_path / "run"
    trained = [question("t1", "a", dataset="files")]
    write(home, "load", Question, trained)
    train(home, "aotd", home, trained)
    write(run, "load", Question, [question("e1", "copy", dataset="files")])
    (run / "distill").mkdir()
    (run / "distill" / "aotd").symlink_to(home / "distill" / "aotd")
    answer(run, "aotd", {})
    for folder, name in (("videos", "copy"), ("others", "a")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.mp4").write_bytes(b"one" * 1000)
    asked = [question("e1", "copy", dataset="files")]
    (found,) = found_in(config(run, tmp_path / "videos"), {"aotd": run / "distill" / "aotd"}, asked)
    assert (found.leaks, found.not_compared) == ((), 1)
    # Where its videos lie is not known; an id that means something only there counts to be on the safe side.
    (found,) = found_in(
        config(run, tmp_path / "videos"), {"aotd": run / "distill" / "aotd"}, [question("e1", "a", dataset="files")]
    )
    assert found.leaks == ("e1",)
    (found,) = found_in(
        config(run, tmp_path / "videos", train_root=str(tmp_path / "others")), {"aotd": run / "distill" / "aotd"}, asked
    )
    assert (found.leaks, found.not_compared) == (("e1",), 0)


def test_training_of_the_earlier_student_counts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first, second = [question("t1", "a")], [question("t2", "b")]
    write(run, "load", Question, [*first, *second])
    train(run, "first", run, first, student={"path": "someone/a-video-llm"})
    train(run, "second", run, second, student={"path": str(run / "distill" / "first" / "student")})
    train(run, "begin", run, second, arm={"train": False}, student={"path": "someone/a-video-llm"})
    for arm in ("second", "begin"):
        answer(run, arm, {})
    asked = [question("e1", "a")]
    found = found_in(config(run, tmp_path), {arm: run / "distill" / arm for arm in ("second", "begin")}, asked)
    assert [(one.trained_questions, one.leaks) for one in found] == [(2, ("e1",)), (0, ())]
    assert {one.checkpoint for one in found} == {"someone/a-video-llm"}
    assert "begin: not trained, and so on none of what is asked here" in printed(found)
    assert printed(found).count("what someone/a-video-llm had been trained on before is not known") == 2


def test_student_without_records_is_never_called_clean(tmp_path: Path) -> None:
    seen(tmp_path, [question("e1", "x")])
    run = tmp_path / "run"
    (run / "distill" / "aotd" / "records.jsonl").unlink()
    (found,) = found_in(config(run, tmp_path), {"aotd": run / "distill" / "aotd"}, [question("e1", "x")])
    assert found.told is False
    text = printed([found])
    assert "none of" not in text
    assert "has no records.jsonl" in text
    (run / "distill" / "aotd" / "manifest.json").write_text(json.dumps({"settings": {}}))
    with pytest.raises(UserError, match="is not the manifest of an arm"):
        found_in(config(run, tmp_path), {"aotd": run / "distill" / "aotd"}, [question("e1", "x")])


def test_students_of_one_training_share_a_line(tmp_path: Path) -> None:
    found = seen(tmp_path, [question("e1", "x")])
    text = printed([found, found.model_copy(update={"arm": "instruct"})])
    assert text.startswith("aotd, instruct: trained on 3")
    assert text.count("\n") == 1


def test_evaluate_warns_of_leaks_and_goes_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluated on the very split it was trained on; of sixteen questions, those of the damaged video were not."""
    made = corner_config(run)
    distilled = replace(made.distill, arms={"aotd": made.distill.arms["aotd"]}, epochs=0.1)
    settings = replace(
        made, distill=distilled, evaluate=EvaluateConfig(arms=["blind", "aotd"], split="train", resamples=50)
    )
    do("distill", settings)
    do("evaluate", settings)
    out = capsys.readouterr().out
    assert "aotd: trained on 14 questions about 7 videos; WARNING: 14 of the 16 questions" in out
    found = Contamination.model_validate_json((run / "evaluate" / "aotd" / "seen.json").read_bytes())
    assert len(found.same_id) == len(found.same_question) == len(found.leaks) == 14
    assert len(found.same_video) == 7
    assert not (run / "evaluate" / "blind" / "seen.json").exists()


def test_scenes_that_a_student_grew_on_are_told(tmp_path: Path) -> None:
    run, grown = tmp_path / "run", tmp_path / "grow" / "student"
    grown.mkdir(parents=True)
    (grown / GROWN).write_text(Growth(seed=5, scenes=1200, difficulty="standard").model_dump_json())
    trained = [question("t1", "a")]
    write(run, "load", Question, trained)
    train(run, "first", run, trained, student={"path": str(grown)})
    train(run, "second", run, trained, student={"path": str(run / "distill" / "first" / "student")})
    for arm in ("first", "second"):
        answer(run, arm, {})
    arms = {arm: run / "distill" / arm for arm in ("first", "second")}
    found = found_in(config(run, tmp_path), arms, [question("e1", "b")])
    assert [(one.grown_scenes, one.checkpoint, one.leaks) for one in found] == [(1200, None, ())] * 2
    assert printed(found).count("grew on 1,200 scenes before, none of them a video of this or another world") == 2
    assert "is not known" not in printed(found)
    (grown / GROWN).write_text('{"scenes": "many"}')
    with pytest.raises(UserError, match=r"grown\.json does not say what the student grew on: copy its folder again"):
        found_in(config(run, tmp_path), arms, [question("e1", "b")])
