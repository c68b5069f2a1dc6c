"""The card of a grown student: what it is made from and how, in its folder as README.md."""

from __future__ import annotations

from aotd.grow import GrowConfig


def card(grow: GrowConfig, *, seed: int, weights: int, digest: str, path: str) -> str:
    """Write the card of a student.

    Args:
        weights: how many it has.
        digest: SHA-256 of `model.safetensors`.
        path: the student that it goes on from, empty for none.
    """
    begun = f"`student.path={path}`" if path else "random weights"
    told = "what is done, by whom and with what" if grow.told_actions else "not what is done"
    rows = "\n".join(
        f"| {stage.name.value} | {stage.steps:,} | {stage.batch} | {stage.learning_rate:g} |" for stage in grow.stages
    )
    return f"""# A grown student

A Video-LLM of {weights:,} weights that sees the rendered world playroom, and nothing else. `aotd grow` made it from
{begun}, on rendered scenes alone.

| | |
|---|---|
| scenes | drawn from seed {grow.scenes}, `{grow.difficulty.value}`; none is of a world that is made from another seed |
| encoder | told where things and people are, their state, and {told} |
| seed | {seed} |
| weights | `model.safetensors`, half precision, SHA-256 `{digest}` |
| licence | Apache 2.0, as aotd |

| stage | steps | batch | learning rate |
|---|---:|---:|---:|
{rows}

No lesson is a question of a type of the benchmark's. Another kind of processor rounds otherwise, and grows another
student of the same kind.
"""
