"""Which numbers a setting takes. None is below 0; some have a narrower range."""

from __future__ import annotations

ONE_OR_MORE = (
    *("batch", "select.items", "decompose.candidates", "evaluate.resamples", "caption.every_s"),
    *("specialists.frames", "action.frames", "answering.frames", "student.frames"),
    *("decompose.max_tokens", "convert.max_tokens", "instruct.max_tokens", "verify.max_tokens", "judge.max_tokens"),
    *("evaluate.max_rationale_tokens", "limits.memory_mb", "limits.message_kb"),
    *("instruct.scenes", "instruct.detail_min_words", "instruct.detail_max_words", "instruct.copied_words"),
    *("distill.questions_per_step", "distill.questions_per_video", "distill.max_tokens_per_batch", "distill.threads"),
)
"""Settings by their name, or its end, that are a count of something there must be."""
ABOVE_ZERO = ("limits.seconds", "timeout_s", "specialists.decode_deadline_s", "gpu_memory_utilization")
UP_TO_ONE = ("gpu_memory_utilization", "warmup_ratio", "detection.threshold", "detection.overlap")
"""Shares."""


def out_of_range(setting: str, number: float) -> str:
    """What a number must be, where it is not that; else empty.

    >>> out_of_range("llm.batch", 0)
    'must be 1 or more'
    """

    def among(names: tuple[str, ...]) -> bool:
        return any(f".{setting}".endswith(f".{name}") for name in names)

    if among(UP_TO_ONE) and number > 1:
        return "must be 1 or less"
    if among(ONE_OR_MORE) and number < 1:
        return "must be 1 or more"
    if among(ABOVE_ZERO) and number <= 0:
        return "must be more than 0"
    return "must be 0 or more" if number < 0 else ""
