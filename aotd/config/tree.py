"""The settings of every job, in one tree, so that an experiment file can set any of them.

Each part is a dataclass beside its owner; `configs/` holds values only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aotd.convert import ConvertConfig
from aotd.datasets.base import DatasetConfig
from aotd.decompose import DecomposeConfig
from aotd.distill import DistillConfig
from aotd.evaluate import EvaluateConfig
from aotd.execute import ExecuteConfig
from aotd.export import ExportConfig
from aotd.grow import GrowConfig
from aotd.instruct import InstructConfig
from aotd.llm import LLMConfig, RoleLLMConfig
from aotd.load import LoadConfig
from aotd.report import ReportConfig
from aotd.select import SelectConfig
from aotd.specialists import SpecialistsConfig
from aotd.store.cache import CacheConfig
from aotd.store.shards import ShardConfig
from aotd.students import StudentConfig
from aotd.tracking import TrackingConfig
from aotd.verify import VerifyConfig


@dataclass
class AskConfig:
    """One question about one video."""

    video: str = ""
    """Path of the video file."""
    question: str = ""
    options: list[str] = field(default_factory=list)
    mode: str = "answer"
    """`answer` or `rationale`."""
    by: str = "aotd"
    """A distilled arm of this run, or `agent`."""


@dataclass
class CaptionConfig:
    """Captions of a dataset's videos."""

    every_s: int = 1
    """Seconds that one caption stands for."""


@dataclass
class Config:
    """Everything a run can be told."""

    run: str = "runs/demo"
    """Folder of the run."""
    seed: int = 0
    """Decides what is drawn: samples of questions, resamples, how a student begins and in which order it learns."""
    first_losses: int = 20
    """Stop where the first so many questions of a verb are all lost to one cause; 0 goes on."""
    verbs: list[str] = field(default_factory=list)
    """What `aotd run` does, in order."""
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    specialists: SpecialistsConfig = field(default_factory=SpecialistsConfig)
    llm: LLMConfig = field(default_factory=LLMConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    load: LoadConfig = field(default_factory=LoadConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    decompose: DecomposeConfig = field(default_factory=DecomposeConfig)
    execute: ExecuteConfig = field(default_factory=ExecuteConfig)
    convert: ConvertConfig = field(default_factory=ConvertConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    ask: AskConfig = field(default_factory=AskConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    instruct: InstructConfig = field(default_factory=InstructConfig)
    grow: GrowConfig = field(default_factory=GrowConfig)
    caption: CaptionConfig = field(default_factory=CaptionConfig)
    shard: ShardConfig = field(default_factory=ShardConfig)


def llm_roles(config: Config) -> dict[str, RoleLLMConfig]:
    """Setting -> the language model of a role. One that sets nothing is `config.llm`."""
    return {
        "decompose.llm": config.decompose.llm,
        "convert.llm": config.convert.llm,
        "verify.llm": config.verify.llm,
        "evaluate.judge.llm": config.evaluate.judge.llm,
        "instruct.llm": config.instruct.llm,
    }
