"""The scripts in `slurm/`: what they would submit, held without SLURM, and the pre-emption of a job, played."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aotd.records import Program, Question
from aotd.store.run import Run
from aotd.store.shards import ShardId, deal, shards
from aotd.store.stage import Stage
from aotd.store.state import Doing, State, recorded, state_path
from tests.sample_run import program, question

ROOT = Path(__file__).parents[1]
SCRIPTS = [*sorted((ROOT / "slurm").iterdir()), ROOT / "tests" / "one_node_slurm.sh"]
SBATCH = """#!/usr/bin/env bash
# Stands in for sbatch: writes its arguments down, and numbers the jobs from 101.
for word in "$@"; do printf '%s\\t' "$word"; done >>"$CALLS/sbatch.log"
echo >>"$CALLS/sbatch.log"
echo "$((100 + $(wc -l <"$CALLS/sbatch.log")));cluster"
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None or sys.platform != "linux", reason="scripts for Linux")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stand-ins for SLURM's commands write what they were called with."""
    folder = tmp_path / "calls"
    folder.mkdir()
    command(folder, "sbatch", SBATCH)
    command(folder, "squeue", '#!/usr/bin/env bash\ncat "$CALLS/queue" 2>/dev/null || true\n')
    command(folder, "scontrol", '#!/usr/bin/env bash\necho "$@" >>"$CALLS/scontrol.log"\n')
    command(folder, "aotd", f'#!/usr/bin/env bash\nexec {shlex.quote(sys.executable)} -m aotd "$@"\n')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CALLS", str(folder))
    monkeypatch.setenv("AOTD", str(folder / "aotd"))
    for name in ("AOTD_ALL", "AOTD_ARRAY", "AOTD_TRAIN", "AOTD_EVALUATE", "AOTD_SERVE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def chain(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "slurm/chain.sh", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def submitted(calls: Path) -> list[list[str]]:
    """The arguments of each `sbatch`, without what all have."""
    if not (calls / "sbatch.log").exists():
        return []
    jobs = [line.removesuffix("\t").split("\t") for line in (calls / "sbatch.log").read_text().splitlines()]
    usual = ("--parsable", "--kill-on-invalid-dep=yes", "--output")
    return [[word for word in job if not word.startswith(usual)] for job in jobs]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_has_what_shellcheck_finds(path: Path) -> None:
    subprocess.run(["bash", "-n", path], check=True)
    # Beside this Python, where the extra `dev` puts it; a virtual environment need not be on the PATH.
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert shellcheck is not None, "it comes with the extra dev"
    subprocess.run([shellcheck, path], check=True)


@pytest.mark.parametrize("name", ["job.sbatch", "array.sbatch", "train.sbatch"])
def test_every_job_is_told_before_its_time_is_up_and_may_be_queued_again(name: str) -> None:
    text = (ROOT / "slurm" / name).read_text()
    for option in ("--requeue", "--open-mode=append", "--signal=B:USR1@120"):
        assert f"#SBATCH {option}\n" in text
    assert "exec bash slurm/durable.sh" in text


# ── the chain ─────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_run_is_nine_jobs_that_wait_for_each_other(calls: Path, tmp_path: Path) -> None:
    run = tmp_path / "my runs" / "big one"
    ran = chain("4", f"run={run}", "dataset.root=a b;c", "evaluate.arms=[agent, aotd]")
    assert ran.returncode == 0, ran.stderr
    settings = [f"run={run}", "dataset.root=a b;c", "evaluate.arms=[agent, aotd]"]
    name = lambda verb: f"--job-name={verb} {run}"  # noqa: E731
    array = lambda verb: ["--array=1-4", "slurm/array.sbatch", "4", verb, *settings]  # noqa: E731
    assert submitted(calls) == [
        [name("load"), "slurm/job.sbatch", "load", *settings],
        [name("decompose"), "--dependency=afterok:101", *array("decompose")],
        [name("execute"), "--dependency=aftercorr:102", *array("execute")],
        [name("convert"), "--dependency=aftercorr:103", *array("convert")],
        [name("verify"), "--dependency=aftercorr:104", *array("verify")],
        [name("gather"), "--dependency=afterok:105", "slurm/job.sbatch", "gather", *settings, "shard.of=4"],
        [name("distill"), "--dependency=afterok:106", "slurm/train.sbatch", *settings],
        [name("evaluate"), "--dependency=afterok:107", "slurm/job.sbatch", "evaluate", *settings],
        [name("report"), "--dependency=afterok:108", "slurm/job.sbatch", "report", *settings],
    ]
    lines = (calls / "sbatch.log").read_text().splitlines()
    assert all("--kill-on-invalid-dep=yes\t" in line for line in lines[1:])
    assert f"--output={run}/logs/execute-%A_%a.log\t" in lines[2]
    assert (run / "logs").is_dir()
    assert ran.stderr.splitlines() == [
        f"{101 + number} {verb}"
        for number, verb in enumerate(
            ("load", "decompose", "execute", "convert", "verify", "gather", "distill", "evaluate", "report")
        )
    ]


def test_what_is_asked_of_slurm_comes_from_the_environment(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AOTD_ALL", "--account=us --partition=day")
    monkeypatch.setenv("AOTD_ARRAY", "--gres=gpu:1")
    monkeypatch.setenv("AOTD_TRAIN", "--nodes=2 --ntasks-per-node=8")
    monkeypatch.setenv("AOTD_EVALUATE", "--mem=32G")
    assert chain("2", f"run={tmp_path}/run").returncode == 0
    jobs = {job[0].split()[0].removeprefix("--job-name="): job for job in submitted(calls)}
    assert all(job[1:3] == ["--account=us", "--partition=day"] for job in jobs.values())
    assert "--gres=gpu:1" in jobs["execute"]
    assert jobs["distill"][-4:-2] == ["--nodes=2", "--ntasks-per-node=8"]
    assert "--mem=32G" in jobs["evaluate"]
    assert not [job for verb, job in jobs.items() if verb in ("load", "gather", "report") and len(job) > 8]


def partly(run: Path) -> None:
    """A run in four shards: shard 1 is decomposed, shard 3 was executed as well, shard 2 was killed while it was."""
    with recorded(Run(run), "load"), Stage(run, "load", Question).open({}) as out:
        for number in range(40):
            out.write(question(f"q{number}"))
    for shard in shards(4):
        deal(Run(run), shard)
    for number, verbs in ((1, ("decompose",)), (2, ("decompose", "execute")), (3, ("decompose", "execute"))):
        folder = ShardId(4, number).run(Run(run)).folder
        for verb in verbs:
            with recorded(Run(folder), verb), Stage(folder, verb, Program).open({}) as out:
                for key in Stage(folder, "load", Question).ids():
                    out.write(program(key))
    killed = State(doing=Doing.running, started_s=time.time())
    state_path(ShardId(4, 2).run(Run(run)), "execute").write_text(killed.model_dump_json())


SERVERS = """# what execute and convert need

gpu
llm -- vllm serve models/coder --port {port}
vlm  specialists.answering.precision=int8 specialists.detection.name=trivial
"""


def test_servers_begin_before_the_arrays_and_end_behind_them(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, file = tmp_path / "my runs" / "big one", tmp_path / "servers.txt"
    file.write_text(SERVERS)
    monkeypatch.setenv("AOTD_SERVE", "--gpus=1 --time=12:00:00")
    ran = chain("--serve", str(file), "--until", "gather", "4", f"run={run}", "dataset.root=a b;c")
    assert ran.returncode == 0, ran.stderr
    serve = lambda name: [f"--job-name=serve-{name} {run}", "--dependency=afterok:101", "--gpus=1", "--time=12:00:00"]  # noqa: E731
    script = ["slurm/serve.sbatch", str(run)]
    jobs = submitted(calls)
    assert jobs[1:4] == [
        [*serve("gpu"), *script, "gpu", "dataset.root=a b;c"],
        [*serve("llm"), *script, "llm", "--", "vllm", "serve", "models/coder", "--port", "{port}"],
        [
            *(*serve("vlm"), *script, "vlm", "dataset.root=a b;c"),
            *("specialists.answering.precision=int8", "specialists.detection.name=trivial"),
        ],
    ]
    assert [(job[0].split()[0], job[1]) for job in jobs[4:]] == [
        ("--job-name=decompose", "--dependency=afterok:101,after:102:103:104"),
        ("--job-name=execute", "--dependency=aftercorr:105"),
        ("--job-name=convert", "--dependency=aftercorr:106"),
        ("--job-name=verify", "--dependency=aftercorr:107"),
        ("--job-name=end", "--dependency=afterany:108"),
        ("--job-name=gather", "--dependency=afterok:108"),
    ]
    ends = "scancel --full --signal=TERM 102 103 104 || true; scancel --state=PENDING 102 103 104 || true"
    assert jobs[8][2:] == [f"--wrap={ends}"]
    assert "103 serve-llm" in ran.stderr.splitlines()


def test_servers_begin_only_where_an_array_does(calls: Path, tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "servers.txt"
    file.write_text("gpu")
    partly(run)
    assert chain("--serve", str(file), "--until", "load", "4", f"run={run}").returncode == 0
    assert not submitted(calls)
    ran = chain("--dry", "--serve", str(file), "--until", "convert", "4", f"run={run}")
    assert ran.returncode == 0
    assert not submitted(calls)
    dry = ran.stderr.splitlines()
    assert sum("slurm/serve.sbatch" in line for line in dry) == 1
    assert all("--dependency=after:serve-gpu" in line for line in dry if "array.sbatch 4 decompose" in line)
    assert "--dependency=afterany:convert:convert:convert" in dry[-1]
    file.write_text("a/b x=1\n")
    ran = chain("--serve", str(file), "4", f"run={run}")
    assert (ran.returncode, ran.stderr) == (2, "chain.sh: --serve: a/b is no name for a server: a/b x=1\n")
    file.write_text("# nothing\n")
    assert "names no server" in chain("--serve", str(file), "4", f"run={run}").stderr


def test_submitted_again_only_what_is_missing_is(calls: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    partly(run)
    assert chain("--until", "gather", "4", f"run={run}").returncode == 0
    jobs = [" ".join(word for word in job[1:] if not word.startswith("run=")) for job in submitted(calls)]
    assert jobs == [
        "--array=4 slurm/array.sbatch 4 decompose",
        "--dependency=aftercorr:101 --array=4 slurm/array.sbatch 4 execute",
        "--dependency=aftercorr:102 --array=4 slurm/array.sbatch 4 convert",
        "--dependency=aftercorr:103 --array=4 slurm/array.sbatch 4 verify",
        "--array=1,2 slurm/array.sbatch 4 execute",
        "--dependency=aftercorr:105 --array=1,2 slurm/array.sbatch 4 convert",
        "--dependency=aftercorr:106 --array=1,2 slurm/array.sbatch 4 verify",
        "--array=3 slurm/array.sbatch 4 convert",
        "--dependency=aftercorr:108 --array=3 slurm/array.sbatch 4 verify",
        "--dependency=afterok:104:107:109 slurm/job.sbatch gather shard.of=4",
    ]


@pytest.mark.slow
def test_of_a_run_that_is_done_nothing_is_submitted(calls: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for verb in ("load", "decompose", "execute", "convert", "verify"):
        with recorded(Run(run), verb), Stage(run, verb, Program).open({}):
            pass
    for verb in ("gather", "distill", "evaluate"):
        (run / verb).mkdir()
        with recorded(Run(run), verb):
            pass
    assert chain("4", f"run={run}").returncode == 0
    assert [job[1:3] for job in submitted(calls)] == [["slurm/job.sbatch", "report"]]
    (calls / "sbatch.log").unlink()
    shutil.rmtree(run / "distill")
    assert chain("4", f"run={run}").returncode == 0
    assert [job[-2:] for job in submitted(calls)] == [
        ["slurm/train.sbatch", f"run={run}"],
        ["evaluate", f"run={run}"],
        ["report", f"run={run}"],
    ]


def test_dry_says_it_and_submits_nothing(calls: Path, tmp_path: Path) -> None:
    run = tmp_path / "a run"
    ran = chain("--dry", "--until", "execute", "3", f"run={run}")
    assert ran.returncode == 0, ran.stderr
    assert [shlex.split(line)[0] for line in ran.stderr.splitlines()] == ["sbatch"] * 3
    assert "--dependency=aftercorr:decompose" in shlex.split(ran.stderr.splitlines()[2])
    assert not submitted(calls)
    assert not run.exists()


def test_jobs_of_the_run_that_are_queued_are_not_submitted_twice(calls: Path, tmp_path: Path) -> None:
    run = tmp_path / "my run"
    (calls / "queue").write_text(f"17 execute {run}\n17 execute {run}\n18 verify {run}\n19 verify {run}2\n20 bash\n")
    ran = chain("2", f"run={run}")
    assert ran.returncode == 2
    assert ran.stderr == (
        f"chain.sh: jobs of {run} are queued or running (17,18): let them end, or cancel them (scancel), first\n"
    )
    assert not submitted(calls)


def test_where_a_job_is_not_taken_no_more_are_submitted(calls: Path, tmp_path: Path) -> None:
    command(calls, "sbatch", SBATCH + '[[ $* != *execute* ]] || { echo "no such partition" >&2; exit 1; }\n')
    ran = chain("2", f"run={tmp_path}/run")
    assert ran.returncode == 1
    assert "no such partition" in ran.stderr
    assert len(submitted(calls)) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say how many shards"),
        (["run=x"], "say how many shards"),
        (["0"], "say how many shards"),
        (["4", "execute"], "execute is not a setting"),
        (["--wet", "4"], "there is no option --wet"),
        (["--serve", "nowhere.txt", "4"], "--serve nowhere.txt: there is no such file"),
        (["--serve", "/dev/null", "4"], "--serve /dev/null: there is no such file"),
        (["--until", "select", "4"], "--until select: one of load decompose"),
        (["2000", "run=nowhere"], "'2000' is no number of shards"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], said: str, calls: Path) -> None:
    ran = chain("--dry", *words)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert not submitted(calls)


# ── jobs ──────────────────────────────────────────────────────────────────────────────────────────


def batch(script: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a batch script as SLURM would, with an `aotd` that says what it was told."""
    environment = {**os.environ, "SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_ID": "45001", **variables}
    return subprocess.run(
        ["bash", f"slurm/{script}", *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )


def test_a_task_of_an_array_does_its_shard(calls: Path) -> None:
    command(calls, "aotd", '#!/usr/bin/env bash\nprintf "%s|" "$@"\nexit 2\n')
    ran = batch("array.sbatch", "4", "execute", "run=a b", SLURM_ARRAY_TASK_ID="3")
    assert ran.stdout == "execute|run=a b|shard.number=3|shard.of=4|"
    assert ran.returncode == 2
    assert "submit this with sbatch --array=1-4" in batch("array.sbatch", "4", "execute").stderr
    assert batch("job.sbatch", "gather", "run=a b").stdout == "gather|run=a b|"


def test_processes_that_train_know_each_other_by_what_slurm_says(calls: Path) -> None:
    told = "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT"
    command(calls, "aotd", f'#!/usr/bin/env bash\nprintf "%s|" "$@" {told}\n')
    command(calls, "scontrol", '#!/usr/bin/env bash\n[[ $* == "show hostnames n[7-8]" ]] && printf "n7\\nn8\\n"\n')
    srun = '#!/usr/bin/env bash\nshift 3\nSLURM_PROCID=9 SLURM_LOCALID=1 SLURM_NTASKS=16 "$@"\n'
    command(calls, "srun", srun)
    ran = batch("train.sbatch", "run=a b", "distill.deepspeed=zero2", SLURM_JOB_NODELIST="n[7-8]")
    assert ran.stdout == "distill|run=a b|distill.deepspeed=zero2|9|1|16|n7|25001|", ran.stderr


LONG = """#!/usr/bin/env bash
trap 'echo told >>"$CALLS/told"; sleep 0.3; exit {status}' USR1 TERM
touch "$CALLS/ready"
for _ in $(seq 200); do sleep 0.05; done
"""


@pytest.mark.parametrize(
    ("number", "status", "queued"),
    [(signal.SIGUSR1, 138, True), (signal.SIGUSR1, 0, False), (signal.SIGUSR1, 2, False), (signal.SIGTERM, 143, False)],
)
def test_a_job_whose_time_is_up_goes_back_into_the_queue(
    number: signal.Signals, status: int, queued: bool, calls: Path
) -> None:
    command(calls, "aotd", LONG.format(status=status))
    environment = {**os.environ, "SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_ID": "77"}
    with subprocess.Popen(["bash", "slurm/job.sbatch", "execute"], cwd=ROOT, env=environment) as process:
        until = time.monotonic() + 20
        while not (calls / "ready").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        os.kill(process.pid, number)  # the batch script alone is told, as with --signal=B:
        process.wait(20)
    assert (calls / "told").read_text() == "told\n"
    if queued:
        assert (calls / "scontrol.log").read_text() == "requeue 77\n"
    else:
        assert not (calls / "scontrol.log").exists()
        assert process.returncode == status
