"""A stage goes on exactly from where it was stopped."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from aotd.errors import UserError
from aotd.grow.training import StageSchedule, train
from aotd.runtime.signals import Stopped, tell

SCHEDULE = StageSchedule(steps=12, learning_rate=0.1, save_steps=5)


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


class Losses:
    """Losses that depend on the step; `stop` is the step at which a signal comes."""

    def __init__(self, network: nn.Module, stop: int = -1) -> None:
        self.network, self.stop = network, stop

    def __call__(self, step: int) -> dict[str, Tensor]:
        if step == self.stop:
            tell(signal.SIGTERM)
        inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        return {"a": self.network(inputs).square().mean(), "b": self.network(inputs).mean()}


def grown(folder: Path, stop: int = -1) -> dict[str, Tensor]:
    network = module()
    folder.mkdir(exist_ok=True)
    train("test", network, SCHEDULE, Losses(network, stop), folder)
    return network.state_dict()


def lines(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "losses.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stop", [0, 4, 7, 10])
def test_stopped_stage_goes_on_to_the_same_weights(stop: int, tmp_path: Path) -> None:
    whole = grown(tmp_path / "whole")
    with pytest.raises(Stopped):
        grown(tmp_path / "stopped", stop)
    assert lines(tmp_path / "stopped") == list(range(1, stop + 2))
    resumed = grown(tmp_path / "stopped")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert lines(tmp_path / "stopped") == list(range(1, 13))
    assert (tmp_path / "stopped/losses.jsonl").read_bytes() == (tmp_path / "whole/losses.jsonl").read_bytes()


def test_no_checkpoints_give_the_same_weights(tmp_path: Path) -> None:
    whole = grown(tmp_path / "whole")
    (tmp_path / "without").mkdir()
    network = module()
    train("test", network, replace(SCHEDULE, save_steps=0), Losses(network, -1), tmp_path / "without")
    assert not (tmp_path / "without/checkpoint.safetensors").exists()
    assert all(torch.equal(weight, whole[name]) for name, weight in network.state_dict().items())


def test_lines_behind_the_checkpoint_of_a_killed_stage_are_written_anew(tmp_path: Path) -> None:
    whole = grown(tmp_path / "whole")
    with pytest.raises(Stopped):
        grown(tmp_path / "killed", stop=4)
    with (tmp_path / "killed/losses.jsonl").open("a") as file:
        file.write('{"step": 6, "a"')
    resumed = grown(tmp_path / "killed")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert lines(tmp_path / "killed") == list(range(1, 13))


def test_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"is damaged .*: delete it"):
        grown(tmp_path)


def test_rate_warms_up_and_falls_to_a_twentieth() -> None:
    schedule = StageSchedule(steps=1000, learning_rate=1.0, save_steps=1)
    rates = [schedule.rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) > 0.9
    assert rates[-1] == pytest.approx(0.05, abs=1e-3)
