"""select: STAR-style ground truth -> a `Ranking` of candidates per sub-task (paper §3.2, Table 1)."""

from dataclasses import dataclass, field

from aotd.specialists import ActionConfig, AnsweringConfig, DetectionConfig, GroundingConfig

DECOMPOSITION = "decomposition"
"""What the authors of programs are compared on, beside the sub-tasks of the specialists."""


@dataclass
class SelectConfig:
    """Who is compared, and on how many questions."""

    split: str = "val"
    """Split of the run's questions."""
    items: int = 200
    """Questions per sub-task, drawn by the run's seed; 0 is all."""
    decomposition: list[str] = field(default_factory=list)
    """Runs whose decompose/ holds programs for the same questions, one per author."""
    detection: list[DetectionConfig] = field(default_factory=list)
    """Detectors, each as under specialists.detection: [{name: owlv2, model: …}, {name: owlvit, model: …}]."""
    grounding: list[GroundingConfig] = field(default_factory=list)
    """Temporal grounders, each as under specialists.grounding."""
    action: list[ActionConfig] = field(default_factory=list)
    """Action recognisers, each as under specialists.action."""
    answering: list[AnsweringConfig] = field(default_factory=list)
    """Answerers, each as under specialists.answering."""
    actions: str = ""
    """star: file that names STAR's action codes, a code and its words per line; playroom's are words already."""
