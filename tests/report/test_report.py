"""The page of a run: whole, self-contained, and safe to open whatever the questions say."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest

from aotd.cli.main import main
from aotd.commands.run import run_verb
from aotd.config.compose import compose
from aotd.errors import UserError
from aotd.evaluate import EvaluateConfig
from aotd.evaluate.contamination import write_contamination
from aotd.records import Estimate, Example, Outcome, Program, Question, Thought, Trace, Verdict
from aotd.report.pick import pick
from aotd.scoring.tables import Comparison, Scores, ShuffledScores, VideoGain
from aotd.store.ledger import ledger
from aotd.store.run import Run
from aotd.store.stage import Stage
from aotd.view.provenance import headline, meanings, provenance
from aotd.view.question import stories
from aotd.view.timeline import timeline
from tests.sample_run import drop, evaluated, program, question, sample_run, thought, trace, verdict, write


class Page(HTMLParser):
    """The tags, references and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def made(run: Path, videos: Path | None = None, *more: str) -> str:
    root = videos or run
    run_verb("report", compose([f"run='{run}'", f"dataset.root='{root}'", *more]))
    return (run / "report.html").read_text(encoding="utf-8")


def film(path: Path, width: int = 160, height: int = 120) -> None:
    """Four seconds of a dark bar that walks over a light floor."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(40):
            frame = np.full((height, width, 3), 200, np.uint8)
            frame[:, number : number + 20] = 40
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    film(folder / "a.mp4")
    film(folder / "e.mp4", 80, 60)  # not the size that the trace speaks of
    return folder


def test_report_is_self_contained(tmp_path: Path, videos: Path) -> None:
    page = Page(made(evaluated(sample_run(tmp_path / "run")), videos))
    assert all(ref.startswith(("#", "data:image/jpeg;base64,")) for ref in page.references)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    css = (tmp_path / "run/report.html").read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css


def test_report_counts_add_up(tmp_path: Path) -> None:
    text = made(sample_run(tmp_path))
    table = text.split('<table class="bars">')[1].split("</table>")[0]
    body, foot = table.split("<tfoot>")
    counts = [int(number) for number in re.findall(r'<td class="number">(\d+)</td>', body)]
    assert counts == list(ledger(Run(tmp_path)).counts().values())
    assert re.search(r'id="total">(\d+)<', foot)[1] == str(sum(counts)) == "8"  # type: ignore[index]


def test_report_draws_frames_or_says_why_not(tmp_path: Path, videos: Path) -> None:
    text = made(sample_run(tmp_path / "run"), videos, "report.frames=3")
    pictures = [ref for ref in Page(text).references if ref.startswith("data:")]
    assert len(pictures) == 3  # those of `a` alone
    assert 'alt="Frame 8: door"' in text  # the frame its chain of thought speaks of
    assert "e.mp4 is not the video that the trace is about" in text
    assert "b.mp4: no such file" in text


def test_report_of_captions_draws_no_frames(tmp_path: Path) -> None:
    text = made(sample_run(tmp_path), None, "specialists=captions")
    assert "perception is stored text" in text
    assert "<img" not in text


def test_report_escapes_hostile_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}</style>"
    asked = question("a", kind=evil, words=evil).model_copy(update={"options": (evil, "b"), "answer": evil})
    bad = evil.replace("/", "&#47;")
    write(tmp_path, "load", Question, [asked, question("b")])
    write(tmp_path, "decompose", Program, [program("a").model_copy(update={"code": evil})])
    write(tmp_path, "decompose", Program, [drop("b", Outcome.program_invalid, bad)])
    first = trace("a").events[1]
    event = first.model_copy(update={"query": evil, "tool": evil, "info": ((evil, evil),)})
    write(tmp_path, "execute", Trace, [trace("a").model_copy(update={"events": (event,), "answer": evil})])
    page = Page(made(tmp_path))
    assert "script" not in page.tags
    assert page.handlers == []
    assert page.text.count("<script>alert(1)</script>") >= 8
    assert bad in page.text
    assert "{{ 7*7 }}" in page.text


def test_report_of_loaded_run_names_next_verb(tmp_path: Path) -> None:
    write(tmp_path, "load", Question, [question("a"), question("b", "test")])
    text = Page(made(tmp_path)).text
    assert "pending at decompose" in text
    assert "aotd evaluate asks them" in text
    assert "the question waits for aotd decompose" in text


def test_report_shows_both_answers_of_arms(tmp_path: Path) -> None:
    text = made(evaluated(sample_run(tmp_path)))
    assert "-50.0 points from chance" in text
    row = text.split('<th scope="row">instruct</th>')[1].split("</tr>")[0]
    assert row.count("–</span>") == 4  # open-ended, and the three of grounding
    assert '<td class="number">3<small> / 1</small></td>' in row  # unread under the strict and the lenient reading
    assert row.count("100.0") == 3  # strict, lenient, and in the rationale
    card = next(part for part in text.split("<article") if "<code>t</code>" in part)
    said = card.split('<dl class="said">')[1]
    assert [len(re.findall(f"<em>{mode}</em>", said)) for mode in ("answer", "rationale")] == [3, 2]
    assert "time IoU 0.80" in said


def test_report_shows_letters_only_beside_words(tmp_path: Path) -> None:
    run = evaluated(sample_run(tmp_path))
    assert "by letter" not in made(run).lower()
    path = run / "evaluate" / "aotd" / "scores.json"
    found = Scores.model_validate_json(path.read_text())
    by_letter = Estimate(mean=0.25, low=0.1, high=0.4, n=4)
    path.write_text(found.model_copy(update={"choice_by_letter": by_letter}).model_dump_json())
    text = made(run)
    table = text.split('<table class="arms">')[1].split("</table>")[0]
    assert '<th scope="col">by letter</th>' in table
    assert "25.0" in table
    assert {row.count("<td") for row in table.split("<tr")[2:]} == {11}


def test_report_shows_other_videos_where_some_arm_has(tmp_path: Path) -> None:
    run = evaluated(sample_run(tmp_path))
    assert "other video" not in made(run).lower()
    path = run / "evaluate" / "aotd" / "scores.json"
    found = Scores.model_validate_json(path.read_text())
    other, gain = Estimate(mean=0.25, low=0.1, high=0.4, n=4), Estimate(mean=0.5, low=0.3, high=0.7, n=4)
    control = ShuffledScores(multiple_choice=VideoGain(other=other, gain=gain))
    path.write_text(found.model_copy(update={"shuffled": control}).model_dump_json())
    text = made(run)
    table = text.split('<table class="arms">')[1].split("</table>")[0]
    assert '<th scope="col">other video</th>' in table
    assert "25.0" in table
    assert {row.count("<td") for row in table.split("<tr")[2:]} == {11}
    assert "shuffled-video control" in text
    assert "+50.0 (+30 to +70)" in text


def test_report_shows_measured_costs(tmp_path: Path) -> None:
    run = evaluated(sample_run(tmp_path))
    text = made(run)
    table = text.split('aria-label="Cost per question"')[1].split("</table>")[0]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", table)[:6] == ["answer", "1", "0.0210", "1.0", "1,187", "–"]
    assert table.count('<th scope="row">') == 1
    assert "aotd answers in 0.0210 s, the agent in 0.350 s: 16.7 times faster (15.1–18.4)" in text
    for arm in ("aotd", "instruct", "blind"):
        path = run / "evaluate" / arm / "scores.json"
        scores = Scores.model_validate_json(path.read_text())
        path.write_text(scores.model_copy(update={"cost": None}).model_dump_json())
    assert "Cost per question" not in made(run)


def test_report_is_deterministic(tmp_path: Path, videos: Path) -> None:
    run = evaluated(sample_run(tmp_path / "run"))
    assert made(run, videos) == made(run, videos)


def test_pick_spreads_over_outcomes_types_and_splits(tmp_path: Path) -> None:
    keys = [f"q{number}" for number in range(60)]
    asked = [
        question(key, "test" if n % 4 == 0 else "train", f"T{n % 3}").model_copy(update={"video_id": f"v{n % 20}"})
        for n, key in enumerate(keys)
    ]
    write(tmp_path, "load", Question, asked)
    write(tmp_path, "decompose", Program, [program(key) for key in keys[2:]])
    write(tmp_path, "decompose", Program, [drop(key, Outcome.program_invalid) for key in keys[:2]])
    write(tmp_path, "execute", Trace, [trace(key) for key in keys[2:]])
    write(tmp_path, "convert", Thought, [thought(key) for key in keys[2:]])
    ends = {key: Outcome.wrong_answer if n % 9 == 0 else Outcome.kept for n, key in enumerate(keys[2:])}
    write(tmp_path, "verify", Verdict, [verdict(key, end) for key, end in ends.items()])
    book = ledger(Run(tmp_path))
    chosen = pick(book, asked, 12)
    assert len(set(chosen)) == 12
    names = [book.places[key].name for key in chosen]
    assert {"kept", "program_invalid", "wrong_answer"} == set(names)
    assert names.count("kept") >= 6
    assert names == sorted(names, key=list(book.counts()).index)
    assert {book.places[key].type for key in chosen} == {"T0", "T1", "T2"}
    assert {book.places[key].split for key in chosen} == {"test", "train"}
    assert len(pick(book, asked, 100)) == 60


def test_timeline_shows_findings_beside_evidence(tmp_path: Path) -> None:
    story = stories(Run(sample_run(tmp_path)), ["a"])[0]
    rows = [(row.kind, [(bar.left, bar.width) for bar in row.bars]) for row in timeline(story)]
    assert rows == [("true", [(25, 25)]), ("found", [(25, 25)]), ("seen", [(25, 9.38)])]


def test_meanings_of_every_outcome() -> None:
    assert set(meanings()) == {outcome.value for outcome in Outcome}


def test_headline_names_models(tmp_path: Path) -> None:
    with Stage(tmp_path, "decompose", Program).open({"author": "llm"}, models={"author": "coder-1b"}):
        pass
    models = {"detection": "eye-1", "grounding": "eye-1"}
    with Stage(tmp_path, "execute", Trace).open({"frames": 32}, models=models):
        pass
    lines = dict(headline(provenance(Run(tmp_path))))
    assert lines["programs by"] == "llm, coder-1b"
    assert lines["seen by"] == "eye-1"
    assert "thoughts by" not in lines


def test_report_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", f"run={tmp_path / 'none'}"]) == 2
    assert "begin with `aotd load run=" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"report\.frames=-1"):
        made(sample_run(tmp_path / "run"), None, "report.frames=-1")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: apt install chromium")
@pytest.mark.parametrize("width", [400, 1280])
def test_report_fits_narrow_window(width: int, tmp_path: Path, videos: Path) -> None:
    long = "Which_very_long_word_" * 20
    asked = [question("a", words=long), *(question(key) for key in "bcdefg"), question("t", "test", "Sequence_T2")]
    page = made(evaluated(sample_run(tmp_path / "run", asked)), videos).replace("<details>", "<details open>")
    # The page's own policy forbids scripts, so a frame around it measures; a frame can also be narrower than a window.
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    inner = policy.sub("", page).replace("&", "&amp;").replace('"', "&quot;")
    measure = "const root = this.contentDocument.documentElement; document.title = root.scrollWidth - root.clientWidth"
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<meta charset="utf-8"><iframe style="border:0;width:{width}px;height:800px" srcdoc="{inner}" '
        f'onload="{measure}"></iframe>',
        encoding="utf-8",
    )
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", outer.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    assert re.search(r"<title>(-?\d+)</title>", dom)[1] == "0"  # type: ignore[index]


def test_report_shows_comparisons_and_leaks(tmp_path: Path) -> None:
    run = evaluated(sample_run(tmp_path / "run"))
    zero = Estimate(mean=0.1, low=-0.05, high=0.25, n=9)
    beside = {"seeds": 1, "metric": "choice", "mean": zero, "reference": "instruct"}
    compared = [
        Comparison(arm="<b>aotd", difference=zero, gained=7, lost=2, p=0.0898, **beside),  # type: ignore[arg-type]
        Comparison(arm="instruct", difference=None, **beside),  # type: ignore[arg-type]
    ]
    path = run / "evaluate" / "comparison.jsonl"
    path.write_text("".join(one.model_dump_json() + "\n" for one in compared))
    with Stage(run, "distill/aotd", Example).open(
        {"arm": {}, "student": {}}, inputs={"load": Stage(run, "load", Question).manifest_digest()}
    ) as out:
        out.write(Example(question_id="a", prompt="Which was opened?", answer="A", rationale=None))
    asked = [one for one in Stage(run, "load", Question).records() if one.question_id == "a"]
    write_contamination(Run(run), {"aotd": run / "distill" / "aotd"}, asked, EvaluateConfig(), "data/playroom", seed=0)
    text = made(run)
    assert "Beside instruct, on the same questions" in text
    assert re.search(r"&lt;b&gt;aotd</th><td>choice</td>.*\+10\.0 \(-5 to \+25\).*>7<.*>2<.*>0\.090<", text)
    assert "<strong>aotd: trained on 1 question about 1 video; WARNING: 1 of the 1 question asked here" in text
    assert "Leaks (named in evaluate/&lt;arm&gt;/seen.json)" in text
    path.write_text("{}\n")
    with pytest.raises(UserError, match="does not hold comparisons"):
        made(run)
