"""A checkpoint runs no code and names nothing outside its folder: what does is refused wherever a model is loaded."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import resource
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from aotd.errors import UserError
from aotd.llm import LLMConfig
from aotd.llm.base import GenerationRequest
from aotd.llm.transformers import TransformersEngine
from aotd.models import loading
from aotd.specialists.embedder import SentenceEmbedder
from aotd.students import StudentConfig, StudentName
from aotd.students.registry import load_student, new_student
from tests.llm.test_transformers import save as save_llm
from tests.specialists import tiny as specialists
from tests.students import tiny as students
from tests.students.valley.test_student import SMALL, TEXTS


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
    def load(folder: Path) -> Any:
        setting = "specialists.detection.model"
        config = loading.read_config(str(folder), setting, kind.config_class.model_type)
        return loading.load_frozen(str(folder), setting, kind, config, torch.float32)

    return load


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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sound checkpoints, each written once."""
    made = {}
    for name, (save, _) in CHECKPOINTS.items():
        made[name] = tmp_path_factory.mktemp(name) / "sound"
        made[name].mkdir()
        save(made[name])
    return made


@pytest.fixture
def saved(sound: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Gives a copy of a sound checkpoint, to be harmed, with another copy beside it, `outside`."""

    def copy(name: str) -> Path:
        shutil.copytree(sound[name], tmp_path / "outside")
        return Path(shutil.copytree(sound[name], tmp_path / "checkpoint"))

    return copy


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
    """Left to itself, transformers requests at the terminal whether to run it."""
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


def config_with(**more: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**settings, **more}))

    return change


def file_of(name: str, content: bytes | str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def linked(name: str, target: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(folder.parent / target)

    return change


def piped(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def tokenizer_with(**more: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))

    return change


def weights_with(value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = next(iter(sorted(folder.glob("*.safetensors"))))
        weights = load_file(path)
        weights[sorted(weights)[0]].view(-1)[0] = value
        save_file(weights, path, {"format": "pt"})

    return change


def cut_weights(folder: Path) -> None:
    path = next(iter(sorted(folder.glob("*.safetensors"))))
    path.write_bytes(path.read_bytes()[:-4])


def weights_head(length: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = next(iter(sorted(folder.glob("*.safetensors"))))
        path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])

    return change


def index_of(name: str) -> Callable[[Path], None]:
    """An index that says the weights are in another file, in place of the file itself."""

    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        names = list(load_file(path))
        path.unlink()
        shutil.copy(folder.parent / "outside/model.safetensors", folder / "beside.safetensors")
        index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, name.replace("{at}", str(folder)))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return change


DEEP = '{"a":' * 100_000

MADE_TO_HARM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "adapter of a hub's model": (
        file_of("adapter_config.json", '{"peft_type": "LORA", "base_model_name_or_path": "evil/base"}'),
        "holds adapters .* 'evil/base', which has not been opened",
    ),
    "adapter of a folder": (
        file_of("adapter_config.json", '{"peft_type": "LORA", "base_model_name_or_path": "../outside"}'),
        "'../outside', which has not been opened",
    ),
    "adapter of nothing": (file_of("adapter_config.json", "{}"), "holds adapters"),
    "adapter torn": (file_of("adapter_config.json", '{"base'), "adapter_config.json is not JSON"),
    "config torn": (file_of("config.json", '{"model_type":'), "config.json is not JSON"),
    "config empty": (file_of("config.json", ""), "config.json is not JSON"),
    "config not UTF-8": (file_of("config.json", b"\xff\xfe{}"), "config.json is not JSON"),
    "config a list": (file_of("config.json", "[]"), "config.json is not a JSON object"),
    "config null": (file_of("config.json", "null"), "config.json is not a JSON object"),
    "config deep": (file_of("config.json", DEEP), "config.json is nested too deeply"),
    "config whole and deep": (
        file_of("config.json", '{"a":' * 900 + "1" + "}" * 900), "config.json is nested too deeply",
    ),
    "config of 100 MB": (file_of("config.json", b" " * (100 << 20) + b"{}"), "config.json is longer than 32 MiB"),
    "config with a number too long": (file_of("config.json", '{"n": ' + "9" * 5000 + "}"), "config.json is not JSON"),
    "config of 10**30 layers": (config_with(num_hidden_layers=10**30), r"num_hidden_layers is about 10\^30"),
    "config of a million layers": (config_with(num_hidden_layers=10**6), "no model has more than 4096"),
    "config within a config": (config_with(more={"and": [{"num_layers": 10**9}]}), "num_layers is 1000000000"),
    "config of another model's type": (config_with(model_type=["qwen3_vl"]), "."),
    "attention from the hub": (config_with(attn_implementation="evil/kernel"), "names 'evil/kernel'"),
    "attention within": (
        config_with(text_config={"attn_implementation": {"": "evil/kernel"}}), "attn_implementation names",
    ),
    "backbone from the hub": (config_with(backbone="evil/tower"), "backbone names 'evil/tower'"),
    "weights elsewhere": (config_with(transformers_weights="../outside/x.safetensors"), "transformers_weights names"),
    "config elsewhere": (config_with(configuration_files=["../outside/config.9.0.json"]), "configuration_files names"),
    "words elsewhere": (tokenizer_with(vocab_file="/etc/passwd"), "vocab_file names '/etc/passwd'"),
    "words elsewhere first": (tokenizer_with(init_inputs=["/etc/passwd"]), "init_inputs names"),
    "words of other versions": (tokenizer_with(fast_tokenizer_files=["x/tokenizer.1.json"]), "fast_tokenizer_files"),
    "words not JSON": (file_of("tokenizer_config.json", "no"), "tokenizer_config.json is not JSON"),
    "words deep": (file_of("tokenizer_config.json", DEEP), "nested too deeply"),
    "generation not JSON": (file_of("generation_config.json", "["), "generation_config.json is not JSON"),
    "index of a file outside": (index_of("../outside/model.safetensors"), "weight_map names '../outside/"),
    "index of a file by its path": (index_of("{at}/beside.safetensors"), "weight_map names '/"),
    "index of files that are none": (file_of("model.safetensors.index.json", "{"), "index.json is not JSON"),
    "link out": (linked("config.json", "outside/config.json"), "config.json is a link that leads out"),
    "link of weights out": (linked("model.safetensors", "outside/model.safetensors"), "is a link that leads out"),
    "link to nothing": (linked("extra.json", "nothing"), "extra.json is a link that leads out"),
    "link of a folder": (linked("inner", "outside"), "inner is a link that leads out"),
    "pipe": (piped("generation_config.json"), "generation_config.json is a pipe"),
    "pipe of weights": (piped("model.safetensors"), "model.safetensors is a pipe"),
    "NaN": (weights_with(float("nan")), "hold NaN or infinity"),
    "infinity": (weights_with(float("-inf")), "hold NaN or infinity"),
    "weights cut": (cut_weights, "no safetensors file|cannot be loaded"),
    "a header of no bytes": (weights_head(0), "no safetensors file|cannot be loaded"),
    "a header of all bytes": (weights_head(2**63), "no safetensors file|cannot be loaded"),
}  # fmt: skip
"""What a stranger may do to a checkpoint, and what is said of it."""


@pytest.mark.parametrize("harm", MADE_TO_HARM)
@pytest.mark.parametrize("name", ["valley", "qwen_vl", "owlv2", "embedder", "llm"])
def test_a_checkpoint_made_to_harm_is_one_line(
    name: str, harm: str, saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(name)
    change, says = MADE_TO_HARM[harm]
    change(folder)
    asked: list[str] = []
    monkeypatch.setattr("socket.socket.connect", lambda *to: asked.append(str(to)))
    with pytest.raises(UserError, match=says) as caught:
        CHECKPOINTS[name][1](folder)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 700
    assert not asked, "nothing was fetched"


SIZES = {
    "valley": ("text_config.hidden_size", "text_config.vocab_size", "encoder.channels"),
    "qwen_vl": ("text_config.hidden_size", "text_config.vocab_size", "vision_config.hidden_size"),
    "owlv2": ("text_config.hidden_size", "vision_config.image_size"),
    "embedder": ("vocab_size", "max_position_embeddings"),
    "llm": ("hidden_size", "vocab_size", "intermediate_size"),
}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in SIZES.items() for key in keys])
@pytest.mark.parametrize("value", [3 * 10**6, 10**9, 10**12, -1, 0, "many"])
def test_sizes_that_no_weights_bear_out_are_refused_before_room_is_made(
    name: str, key: str, value: Any, saved: Callable[[str], Path]
) -> None:
    folder = saved(name)
    settings = json.loads((folder / "config.json").read_text())
    *parents, last = key.split(".")
    part = settings
    for parent in parents:
        part = part[parent]
    part[last] = value
    (folder / "config.json").write_text(json.dumps(settings))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as caught:
        CHECKPOINTS[name][1](folder)
    assert len(str(caught.value).splitlines()) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "KiB"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("preprocessor_config.json", "[]"), ("preprocessor_config.json", "{"), ("preprocessor_config.json", "{}"),
        ("preprocessor_config.json", '{"size": {"shortest_edge": 1000000000, "longest_edge": 1000000000000}}'),
        ("preprocessor_config.json", '{"size": {"shortest_edge": -1, "longest_edge": 4}}'),
        ("preprocessor_config.json", '{"size": 32}'), ("preprocessor_config.json", '{"size": "big"}'),
        ("preprocessor_config.json", '{"size": {"shortest_edge": 9, "longest_edge": 99}, "image_std": [0, 0, 0]}'),
        ("preprocessor_config.json", '{"size": {"shortest_edge": 9, "longest_edge": 99}, "image_mean": [NaN, 0, 0]}'),
        ("preprocessor_config.json", '{"size": {"shortest_edge": 9, "longest_edge": 99}, "resample": 77}'),
        ("aotd.json", "[]"), ("aotd.json", '{"frames": 0}'), ("aotd.json", '{"frames": 1000000000}'),
        ("aotd.json", '{"seen": "8"}'), ("aotd.json", '{"pictures": {"size": {"shortest_edge": 1}}}'),
    ],
)  # fmt: skip
def test_pictures_that_cannot_be_prepared_are_one_line(file: str, content: str, saved: Callable[[str], Path]) -> None:
    folder = saved("qwen_vl")
    for other in folder.glob("*preprocessor_config.json"):
        other.unlink()
    (folder / file).write_text(content)
    with pytest.raises(UserError) as caught:
        load_pretrained(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "template",
    ["{% for", "{{ raise_exception('no') }}", "{{ 1 / 0 }}", "{{ messages.x.y }}", "{{ ''.__class__.__mro__ }}",
     "{% for i in range(1000000) %}{% endfor %}", "{% include '/etc/passwd' %}"],
)  # fmt: skip
def test_a_strangers_template_reaches_nothing_and_is_one_line(template: str, saved: Callable[[str], Path]) -> None:
    folder = saved("llm")
    (folder / "chat_template.jinja").write_text(template)
    engine = load_llm(folder)
    with pytest.raises(UserError, match="chat template cannot be rendered"):
        list(engine.stream([GenerationRequest.from_prompt(prompt="a b c", max_tokens=3)]))


def test_links_of_the_hubs_own_cache_are_followed(saved: Callable[[str], Path], tmp_path: Path) -> None:
    kept = tmp_path / "models--a--b"
    (kept / "blobs").mkdir(parents=True)
    (kept / "snapshots" / "1").mkdir(parents=True)
    for file in saved("valley").iterdir():
        shutil.move(file, kept / "blobs" / file.name)
        (kept / "snapshots" / "1" / file.name).symlink_to(f"../../blobs/{file.name}")
    assert load_student(kept / "snapshots" / "1", SMALL).specialist_frames == 8
