"""A checkpoint runs no code: pickles and code of its own are refused wherever a model is loaded."""

from __future__ import annotations

import builtins
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from aotd.errors import UserError
from aotd.llm.base import LLMConfig
from aotd.llm.transformers import TransformersEngine
from aotd.specialists import weights
from aotd.specialists.embedder import SentenceEmbedder
from aotd.students import StudentConfig, StudentName
from aotd.students.student import load_student, new_student
from tests.llm.test_transformers import save as save_llm
from tests.specialists import tiny as specialists
from tests.students import tiny as students
from tests.students.test_valley import SMALL, TEXTS


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (Path.touch, (self.canary,))


def save_valley(folder: Path) -> None:
    new_student(SMALL, 8, TEXTS, 0).save(folder)


def save_embedder(folder: Path) -> None:
    words = specialists.bert_tokenizer()
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **specialists.TOWER)).save_pretrained(folder)
    words.save_pretrained(folder)


def load_specialist(kind: Any) -> Callable[[Path], Any]:
    return lambda folder: weights.load_model("detection", weights.WeightsConfig(model=str(folder)), kind, torch.float32)


def load_pretrained(folder: Path) -> Any:
    return new_student(StudentConfig(name=StudentName.qwen_vl, path=str(folder)), 8, [], 0)


def load_llm(folder: Path) -> Any:
    return TransformersEngine(LLMConfig(model=str(folder)))


CHECKPOINTS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "valley": (save_valley, lambda folder: load_student(folder, SMALL)),
    "qwen_vl": (lambda folder: students.write_checkpoint("qwen_vl", folder), load_pretrained),
    "owlv2": (
        lambda folder: specialists.write_checkpoint("owlv2", folder),
        load_specialist(transformers.Owlv2ForObjectDetection),
    ),
    "owlvit": (
        lambda folder: specialists.write_checkpoint("owlvit", folder),
        load_specialist(transformers.OwlViTForObjectDetection),
    ),
    "xclip": (lambda folder: specialists.write_checkpoint("xclip", folder), load_specialist(transformers.XCLIPModel)),
    "embedder": (save_embedder, SentenceEmbedder),
    "llm": (save_llm, load_llm),
}
"""What writes a sound checkpoint into a folder, and what loads it for aotd."""


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_pickle_is_refused_and_safetensors_named(name: str, tmp_path: Path) -> None:
    save, load = CHECKPOINTS[name]
    folder, canary = tmp_path / "checkpoint", tmp_path / "canary"
    folder.mkdir()
    save(folder)
    load(folder)  # sound so far
    for file in folder.glob("*.safetensors"):
        file.unlink()
    trap = pickle.dumps(Trap(canary))
    (folder / "pytorch_model.bin").write_bytes(trap)
    with pytest.raises(UserError, match="safetensors") as caught:
        load(folder)
    assert str(caught.value).isprintable()
    assert not canary.exists()
    pickle.loads(trap)
    assert canary.exists(), "the trap works on who unpickles it"


@pytest.mark.parametrize("name", ["embedder", "llm"])
def test_code_in_a_checkpoint_is_refused_without_a_question(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself, transformers asks at the terminal whether to run it."""
    save, load = CHECKPOINTS[name]
    folder, canary = tmp_path / "checkpoint", tmp_path / "canary"
    folder.mkdir()
    save(folder)
    settings = json.loads((folder / "config.json").read_text())
    kinds = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer")
    settings |= {"model_type": "theirs", "auto_map": dict.fromkeys(kinds, "theirs.Theirs")}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "theirs.py").write_text(
        "from pathlib import Path\nfrom transformers import PreTrainedConfig\n"
        f"Path({str(canary)!r}).touch()\nclass Theirs(PreTrainedConfig):\n    model_type = 'theirs'\n"
    )
    asked: list[str] = []
    monkeypatch.setattr(builtins, "input", lambda *words: asked.append(str(words)) or "y")
    with pytest.raises(UserError):
        load(folder)
    assert not asked
    assert not canary.exists()
