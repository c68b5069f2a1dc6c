"""Training one student with transformers' `Trainer`, under the loss of the paper."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.utils.logging import disable_progress_bar

from aotd.distill import DistillConfig
from aotd.distill.arms import StageFiles, TrainingStage
from aotd.distill.batch import TokenizedExample, make_batch
from aotd.distill.checkpoint import KeepNewest, newest, step_of, sweep
from aotd.distill.loss import distillation_loss
from aotd.distill.plan import BatchPlan
from aotd.distill.ranks import deepspeed_file, processes
from aotd.errors import UserError
from aotd.runtime.signals import patience, stopping, tell
from aotd.store.files import Shard, write_atomically
from aotd.store.tensors import tensor_errors
from aotd.tracking import Tracker
from aotd.video_llms.base import VideoFeatures, VideoLLM


class PlannedBatches(Dataset[dict[str, Any]]):
    """The batches of a plan. A video's features are looked up when its turn comes."""

    def __init__(
        self,
        student: VideoLLM,
        examples: Sequence[TokenizedExample],
        features: Callable[[int], VideoFeatures],
        plan: BatchPlan,
    ) -> None:
        """`features` gives those of an example's video, by the example's number."""
        self._student, self._examples, self._features, self._plan = student, examples, features, plan

    def __len__(self) -> int:
        return len(self._plan.batches)

    def __getitem__(self, number: int) -> dict[str, Any]:
        planned = self._plan.batches[number]
        groups = [
            (self._features(group[0]), [self._examples[example] for example in group]) for group in planned.groups
        ]
        batch = make_batch(self._student, groups, planned.questions)
        if not planned.counts:
            batch["shares"] = torch.zeros_like(batch["shares"])
        return batch


def train(
    student: VideoLLM,
    batches: PlannedBatches,
    plan: BatchPlan,
    stage: TrainingStage,
    distill: DistillConfig,
    seed: int,
    files: StageFiles,
    tracker: Tracker,
    show: Callable[[int, int], None],
) -> bool:
    """Train a student in place, going on from the newest whole checkpoint. The same arguments give the same weights.

    Args:
        distill: what does not depend on the stage.
        files: get the checkpoints, a line of losses per step, and the student once it is trained.
        show: called at each step with its number and how many there are.

    Returns:
        Whether it came to the end. It does not where a signal came: then a checkpoint of the last step is written.
    """
    checkpoints, into = files.checkpoints, files.partial_student
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=1,  # the plan's epochs are one after another in it
        per_device_train_batch_size=1,  # one of the plan's batches
        gradient_accumulation_steps=plan.per_step,
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.lr_scheduler_type.value,
        warmup_steps=stage.warmup_ratio,
        adam_beta1=stage.adam_beta1,
        adam_beta2=stage.adam_beta2,
        adam_epsilon=stage.adam_epsilon,
        weight_decay=stage.weight_decay,
        max_grad_norm=1.0,
        logging_strategy="no",
        logging_nan_inf_filter=False,  # it looks at every batch's loss for what is logged
        save_strategy="steps" if distill.save_steps else "no",
        save_steps=distill.save_steps or 1,
        bf16=distill.bf16,
        deepspeed=str(deepspeed_file(distill.deepspeed)) if distill.deepspeed else None,
        ddp_backend="gloo" if processes() > 1 and not torch.cuda.is_available() else None,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
    )
    disable_progress_bar()  # type: ignore[no-untyped-call]
    # Whatever is drawn must not depend on what was trained before.
    set_seed(seed)
    model = student.trainable_model(stage.trainable, stage.lora_rank)
    if not any(weight.requires_grad for weight in model.parameters()):
        parts = ", ".join(stage.trainable)
        raise UserError(f"{stage.setting}.trainable: this student has no weights in {parts}: name another part too")
    trainer = _Trainer(model=model, args=arguments, train_dataset=batches, data_collator=_only_batch)
    trainer.remove_callback(PrinterCallback)
    trainer.model_accepts_loss_kwargs = False  # then `Trainer` divides by the number of batches, and we multiply
    trainer.weight = distill.rationale_weight
    main = trainer.is_world_process_zero()
    trainer.add_callback(KeepNewest(checkpoints, trainer.accelerator.wait_for_everyone, files.losses))
    if main:
        sweep(checkpoints)
    trainer.accelerator.wait_for_everyone()
    start = newest(checkpoints)
    if distill.gradient_checkpointing:
        student.enable_gradient_checkpointing()
    student.model.train()
    from_step = step_of(start) if start else 0
    log = closing(_LossLog(files.losses, tracker, stage.number, from_step)) if main else nullcontext()
    with patience(), tensor_errors(checkpoints), log as open_log:
        trainer.add_callback(_StepReports(trainer, open_log, show))
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    student.model.train(False)
    finished = bool(trainer.state.global_step >= plan.steps)
    if finished:
        with tensor_errors(into):
            if not student.has_adapters:
                # All processes take part: under ZeRO-3 each holds a part of the weights.
                trainer.save_model(str(into))
            elif main:
                student.merge_adapters()
                student.model.save_pretrained(into)
            if main:
                (into / "training_args.bin").unlink(missing_ok=True)  # a pickle of settings that stand in the manifest
                student.save_extras(into)
        trainer.accelerator.wait_for_everyone()
    return finished


def _only_batch(batches: list[dict[str, Any]]) -> dict[str, Any]:
    return batches[0]


class _LossLog:
    """Losses by kind of target, as JSON lines and to the tracker."""

    def __init__(self, path: Path, tracker: Tracker, stage: int, from_step: int) -> None:
        """Go on behind the lines of the stages before, and of this stage's steps until `from_step`.

        Args:
            stage: its number; 0 where it is the only one, and its lines do not say it.
        """
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        before = sum(line.startswith(tuple(f'{{"stage": {number}, ' for number in range(1, stage))) for line in lines)
        write_atomically(path, "".join(f"{line}\n" for line in lines[: before + from_step]))
        self._lines, self._tracker, self._last = Shard(path), tracker, time.monotonic()
        self._stage = {"stage": stage} if stage else {}

    def write(self, values: Mapping[str, float]) -> None:
        values = {**self._stage, **values}
        self._lines.add(json.dumps(values).encode() + b"\n")
        now = time.monotonic()
        self._tracker.log({**values, "tokens_per_second": values["tokens"] / max(now - self._last, 1e-9)})
        self._last = now

    def close(self) -> None:
        self._lines.close()


class _Trainer(Trainer):  # type: ignore[misc,unused-ignore]
    """`Trainer` with our loss, which also keeps its two terms apart."""

    weight: float

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._terms: list[torch.Tensor] = []
        self._tokens = 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The plan has drawn the order already."""
        batches: Any = self.train_dataset
        return SequentialSampler(batches)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Nobody asks for them, and `Trainer` goes through all parameters at each batch to count them."""
        return 0

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        batch = dict(inputs)
        labels, kinds, shares = (batch.pop(name) for name in ("labels", "kinds", "shares"))
        loss = distillation_loss(model(**batch), labels, kinds, shares, self.weight)
        self._terms.append(torch.stack([loss.label.detach(), loss.rationale.detach()]))
        self._tokens += batch["input_ids"].numel()
        # `Trainer` takes the mean over batches and over processes; the terms are parts of a sum.
        scaled: torch.Tensor = loss.total * (self.current_gradient_accumulation_steps * self.accelerator.num_processes)
        return scaled

    def take_terms(self, stop: bool) -> tuple[dict[str, float], bool]:
        """Both terms of the step and how many places were computed, over all processes; and whether any is to stop."""
        terms = torch.stack(self._terms).sum(0).float()
        local = torch.cat([terms, terms.new_tensor([self._tokens, float(stop)])])
        label, rationale, tokens, any_stop = self.accelerator.reduce(local, "sum").tolist()
        self._terms.clear()
        self._tokens = 0
        return {"label": label, "rationale": rationale, "tokens": int(tokens)}, any_stop > 0


class _StepReports(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Reports each step, and after it leaves where some process was told to: all of them after the same step."""

    def __init__(self, trainer: _Trainer, log: _LossLog | None, show: Callable[[int, int], None]) -> None:
        self._trainer, self._log, self._show = trainer, log, show

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        terms, leave = self._trainer.take_terms(stopping())
        if self._log:
            rate = float(kwargs["lr_scheduler"].get_last_lr()[0])
            self._log.write({"step": state.global_step, **terms, "learning_rate": rate})
        self._show(state.global_step, state.max_steps)
        if leave and not stopping():
            tell(signal.SIGTERM)  # another process was told, and all leave
        if leave and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True
