"""What is measured of a question, and what is left out."""

from __future__ import annotations

import time

import pytest
import torch

from aotd.llm.base import Reply
from aotd.models.model_cache import ModelCache
from aotd.records import Cost
from aotd.runtime.meter import Meter, carried, once, total
from aotd.specialists import SourceName, SpecialistsConfig
from aotd.specialists.load import load_specialists

ASKED = Reply("yes", True, prompt_tokens=100, reply_tokens=7)


def test_clock_stops_while_weights_load() -> None:
    shelf = ModelCache(budget_gb=1)
    with Meter() as first:
        shelf.take("a", 2**30, lambda: time.sleep(0.2))
        time.sleep(0.01)
    assert 0.01 <= first.seconds < 0.15
    shelf.take("b", 2**30, lambda: None)
    with Meter() as again:
        shelf.take("a", 2**30, lambda: time.sleep(0.2))
    assert again.seconds >= 0.2, "it made room for another one: that is the price of the budget"


def test_clock_stops_while_specialists_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aotd.specialists.load.load_specialist", lambda *given: time.sleep(0.1))
    with Meter() as meter:
        load_specialists(SpecialistsConfig(source=SourceName.mock), "")
    assert meter.seconds < 0.05


def test_meter_measures_up_to_an_exception() -> None:
    def late() -> None:
        time.sleep(0.01)
        raise ZeroDivisionError

    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter:
        late()
    assert meter.seconds >= 0.01


def test_cost_counts_only_asked_calls() -> None:
    recorded = Reply("yes", True, prompt_tokens=100, reply_tokens=7, recorded=True)
    refused = Reply("", False, prompt_tokens=9000, reply_tokens=0)
    with Meter() as meter:
        pass
    cost = meter.cost("q", batch=2, replies=[ASKED, recorded, refused, ASKED])
    assert (cost.llm_calls, cost.prompt_tokens, cost.reply_tokens, cost.reused) == (2, 200, 14, 1)
    assert cost.batch == 2
    assert meter.cost("q", replies=[recorded]).llm_calls == 0


def test_cost_tokens_unknown_without_server_count() -> None:
    with Meter() as meter:
        pass
    silent = Reply("yes", True, prompt_tokens=0, reply_tokens=0)
    cost = meter.cost("q", replies=[ASKED, silent])
    assert (cost.llm_calls, cost.prompt_tokens, cost.reply_tokens) == (2, None, None)
    assert meter.cost("q").prompt_tokens == 0
    assert total([cost, meter.cost("q", replies=[ASKED])]).prompt_tokens is None


def test_total_adds_costs_and_takes_largest_memory() -> None:
    one = Cost(question_id="q", seconds=0.5, batch=4, llm_calls=1, prompt_tokens=10, memory_mb=100, machine="a")
    two = Cost(question_id="q", seconds=0.25, tool_calls=3, specialist_calls=2, reused=1, memory_mb=300, machine="a")
    both = total([one, two])
    assert (both.seconds, both.batch, both.llm_calls, both.prompt_tokens) == (0.75, 4, 1, 10)
    assert (both.tool_calls, both.specialist_calls, both.reused, both.memory_mb, both.machine) == (3, 2, 1, 300, "a")
    assert total([one, two.model_copy(update={"machine": "b"})]).machine == ""
    assert total([one, carried("q")]).reused == 1


def test_once_charges_first_of_equal_prompts() -> None:
    a, b = Reply("a", True, 1, 1), Reply("b", True, 1, 1)
    assert once(["x", "y", "x"], [a, b, a]) == [[a], [b], []]


def test_meter_resets_gpu_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = [0, 0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: peaks.append(2**20))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peaks[-1])
    peaks.append(5 * 2**20)
    with Meter() as small:
        pass
    with Meter() as large:
        peaks.append(3 * 2**20)
    assert (small.memory_mb, large.memory_mb) == (1, 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with Meter() as without:
        pass
    assert without.cost("q").memory_mb is None
