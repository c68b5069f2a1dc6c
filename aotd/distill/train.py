"""Training one student with transformers' `Trainer`, under the loss of the paper."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from aotd.distill import DistillConfig
from aotd.distill.batch import Laid, collate
from aotd.distill.loss import distillation_loss
from aotd.students.frames import StudentFrames
from aotd.students.student import Student
from aotd.tracking import Tracker

LOG_STEPS = 10


def train(
    student: Student,
    rows: Sequence[tuple[Laid, StudentFrames]],
    config: DistillConfig,
    seed: int,
    arm: str,
    log: Path,
    tracker: Tracker,
    told: Callable[[int, int], None],
) -> None:
    """Train a student in place. The same arguments give the same weights on the same machine.

    Args:
        rows: the examples, each with its frames.
        arm: name, for tracking.
        log: file of one JSON line per `LOG_STEPS` steps, written anew.
        told: called at each step with its number and how many there are.
    """
    arguments = TrainingArguments(
        output_dir=str(log.parent),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup_ratio,
        adam_beta2=0.95,
        weight_decay=0.05,
        max_grad_norm=1.0,
        logging_steps=LOG_STEPS,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
    )
    # The order of the questions and whatever else is drawn must not depend on what was trained before.
    set_seed(seed)
    pad = student.tokenizer.pad_token_id
    trainer = _Trainer(
        model=student.model,
        args=arguments,
        train_dataset=list(rows),
        data_collator=lambda picked: collate(picked, pad),
        callbacks=[_Steps(told)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.report = _Report(log, tracker, arm)
    trainer.weight = config.rationale_weight
    student.model.train()
    trainer.train()
    trainer.report_terms()
    student.model.train(False)


class _Report:
    """Losses by kind, as JSON lines and to the tracker."""

    def __init__(self, path: Path, tracker: Tracker, arm: str) -> None:
        self._path, self._tracker, self._arm = path, tracker, arm
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")

    def write(self, values: Mapping[str, float]) -> None:
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(values) + "\n")
        self._tracker.log({f"{self._arm}/{name}": value for name, value in values.items()})


class _Trainer(Trainer):  # type: ignore[misc,unused-ignore]
    """`Trainer` with our loss, which also keeps its two terms apart."""

    report: _Report
    weight: float

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._terms: list[tuple[torch.Tensor, torch.Tensor]] = []

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        batch = dict(inputs)
        labels, branch_of, row_of = (batch.pop(name) for name in ("labels", "branch_of", "row_of"))
        loss = distillation_loss(model(**batch), labels, branch_of, row_of, len(batch["pixels"]), self.weight)
        self._terms.append((loss.label.detach(), loss.rationale.detach()))
        return loss.total

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            self.report_terms()

    def report_terms(self) -> None:
        """Write the means of both terms over the steps since the last line."""
        if self._terms:
            label, rationale = (torch.stack(term).mean().item() for term in zip(*self._terms, strict=True))
            self._terms.clear()
            self.report.write({"step": self.state.global_step, "label": label, "rationale": rationale})


class _Steps(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Tells each step."""

    def __init__(self, told: Callable[[int, int], None]) -> None:
        self._told = told

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._told(state.global_step, state.max_steps)
