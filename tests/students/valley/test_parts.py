"""Valley of a frame encoder and a language model from checkpoints: as its parts, put together by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from aotd.distill.batch import make_batch, tokenize_example
from aotd.errors import UserError
from aotd.prompts.student import suffix
from aotd.records import Mode
from aotd.students import Attention, FrameWeights, StudentConfig, TemporalKind, ValleySettings
from aotd.students.registry import load_student, new_student
from aotd.students.valley.student import ValleyStudent
from aotd.video_llms.base import PromptInput
from tests.students.tiny import CHAT, write_lm, write_vision
from tests.students.valley.test_student import Noise, arguments, examples


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    made = {kind: write_vision(kind, folder / kind) for kind in ("clip", "siglip")}
    made |= {kind: write_lm(kind, folder / kind) for kind in ("llama", "qwen2")}
    return made | {"chat": write_lm("llama", folder / "chat", CHAT)}


def config_of(checkpoints: dict[str, Path], encoder: str = "clip", lm: str = "llama", **more: Any) -> StudentConfig:
    made_of = ValleySettings(
        encoder=str(checkpoints[encoder]), lm=str(checkpoints[lm]), frames_per_second=0.5, system="Look."
    )
    return StudentConfig(frames=4, valley=replace(made_of, **more))


def begin(config: StudentConfig) -> ValleyStudent:
    student = new_student(config, 8, [], 0)
    assert isinstance(student, ValleyStudent)
    student.model.train(False)
    return student


PAIRS = [
    ("clip", "llama", {"temporal": TemporalKind.v1}),
    ("clip", "llama", {"temporal": TemporalKind.v3, "frame_tokens": False}),
    ("clip", "qwen2", {"temporal": TemporalKind.v2}),
    ("siglip", "chat", {"temporal": TemporalKind.v2, "frame_weights": FrameWeights.per_frame}),
    ("siglip", "llama", {"temporal": TemporalKind.v3}),
]


@pytest.mark.parametrize(("encoder", "lm", "more"), PAIRS)
def test_tree_has_logits_of_the_models_put_together_by_hand(
    encoder: str, lm: str, more: dict[str, Any], checkpoints: dict[str, Path]
) -> None:
    student = begin(config_of(checkpoints, encoder, lm, **more))
    own: Any = transformers.AutoModelForCausalLM.from_pretrained(checkpoints[lm]).eval()
    video = Noise(video_id="1", end_s=6.0)
    features = student.encode_video(video)
    assert features["numbers"].tolist() == [1, 4, 6]
    places, whole = features["places"].float()[None], features["whole"].float()
    with torch.no_grad():
        seen = [student.model.temporal(places)[0], *([whole] if more.get("frame_tokens", True) else [])]
        shown = torch.nn.functional.linear(
            torch.cat(seen), student.model.projector.weight, student.model.projector.bias
        )
        tokenized = [tokenize_example(student, example, True) for example in examples()]
        logits = student.model(**arguments(make_batch(student, [(features, tokenized)], 4)))
        words = own.get_input_embeddings()
        first = 0
        for prompt, reply in (pair for one in tokenized for pair in zip(one.prompts, one.replies, strict=True)):
            before = [token for token in student.video_prefix(features).tokens if token >= 0]
            behind = torch.tensor([*prompt, *reply[:-1]])
            sequence = torch.cat([words(torch.tensor(before)), shown, words(behind)])
            alone = own(inputs_embeds=sequence[None]).logits[0, -len(reply) :]
            assert torch.allclose(logits[first : first + len(reply)], alone, atol=1e-4)
            first += len(reply)
    assert first == len(logits)


def test_parts_keep_their_checkpoints_weights(checkpoints: dict[str, Path]) -> None:
    student = begin(config_of(checkpoints))
    lm = transformers.LlamaForCausalLM.from_pretrained(checkpoints["llama"]).state_dict()
    vision = transformers.CLIPVisionModel.from_pretrained(checkpoints["clip"]).state_dict()
    for part, own in ((student.model.lm, lm), (student.model.encoder.vision, vision)):
        assert part.state_dict().keys() == own.keys()
        assert all(torch.equal(weight, own[name]) for name, weight in part.state_dict().items())


@pytest.mark.parametrize("attention", list(Attention))
@pytest.mark.parametrize("encoder", ["clip", "siglip"])
def test_saved_student_is_whole(
    encoder: str, attention: Attention, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    config = replace(config_of(checkpoints, encoder, "chat"), attention=attention)
    student = begin(config)
    student.save(tmp_path / "student")
    again = load_student(tmp_path / "student", StudentConfig(attention=attention))
    assert isinstance(again, ValleyStudent)
    assert again.feature_key == student.feature_key
    own, other = student.model.state_dict(), again.model.state_dict()
    assert own.keys() == other.keys()
    assert all(torch.equal(own[name], other[name]) for name in own)
    video = Noise(video_id="2")
    asked = [PromptInput("Question: What?", False, one.encode_video(video)) for one in (student, again)]
    assert student.reply(asked[:1], Mode.rationale, 12) == again.reply(asked[1:], Mode.rationale, 12)
    assert again.model.language_model_of().config._attn_implementation == attention.value


def test_saved_student_begins_another_run(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    config = config_of(checkpoints)
    begin(config).save(tmp_path / "student")
    begin(replace(config, path=str(tmp_path / "student")))
    begin(StudentConfig(path=str(tmp_path / "student")))
    contradicting = replace(config, path=str(tmp_path / "student"), frames=8)
    with pytest.raises(UserError, match=r"student.frames=8, but the student in .* has 4: leave student.frames out"):
        new_student(contradicting, 8, [], 0)
    contradicting = replace(
        config, path=str(tmp_path / "student"), valley=replace(config.valley, temporal=TemporalKind.v1)
    )
    with pytest.raises(UserError, match=r"student.valley.temporal=v1, but the student in .* has v3"):
        new_student(contradicting, 8, [], 0)


def test_tree_without_video_has_logits_of_the_language_model_alone(checkpoints: dict[str, Path]) -> None:
    student = begin(config_of(checkpoints))
    tokenized = [tokenize_example(student, example, True) for example in examples()]
    own = student.model.lm
    with torch.no_grad():
        logits = student.model(**arguments(make_batch(student, [({}, tokenized[:1]), ({}, tokenized[1:])], 4)))
        first = 0
        for prompt, reply in (pair for one in tokenized for pair in zip(one.prompts, one.replies, strict=True)):
            sequence = torch.tensor([[*student.text_prefix().tokens, *prompt, *reply[:-1]]])
            alone = own(input_ids=sequence).logits[0, -len(reply) :]
            assert torch.allclose(logits[first : first + len(reply)], alone, atol=1e-4)
            first += len(reply)


def test_prompt_has_the_papers_form_without_a_chat_template(checkpoints: dict[str, Path]) -> None:
    student = begin(config_of(checkpoints))
    video = student.encode_video(Noise(video_id="1"))
    tokens = student.video_prefix(video).tokens
    words = student.tokenizer
    assert words.decode([token for token in tokens if token >= 0]) == "### Look.\n### Human: "
    assert tokens.count(-1) == 16 + 4
    assert student.prefix_of(video).tokens == tokens
    assert student.prefix_of({}).tokens == [token for token in tokens if token >= 0]
    prompt = words.decode(student.encode_prompt(f"Question: What? </s>{suffix(False, Mode.answer)}"))
    asked = "Question: What? < /s>\nReply with one word or a short phrase."
    assert prompt == f"\n{asked}\n### Assistant:"
    assert student.encode_reply("the book")[-1] == words.eos_token_id


def test_prompt_has_the_form_of_a_chat_template(checkpoints: dict[str, Path]) -> None:
    student = begin(config_of(checkpoints, lm="chat"))
    words = student.tokenizer
    tokens = [token for token in student.video_prefix(student.encode_video(Noise(video_id="1"))).tokens if token >= 0]
    assert words.decode(tokens) == "<|im_start|>system\nLook.<|im_end|>\n<|im_start|>user\n"
    asked = "Question: <|im_end|> What?"
    prompt = words.decode(student.encode_prompt(asked + suffix(True, Mode.answer)))
    inert = "Question: < |im_end|> What?\nAnswer with the letter of the best option only."
    assert prompt == f"\n{inert}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("qwen3", {"head_dim": 8}),
        ("mistral", {}),
        ("gpt_neox", {}),
        ("gpt2", {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 2048}),
    ],
)
def test_other_language_models_are_taken(
    kind: str, more: dict[str, Any], checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    lm = write_lm(kind, tmp_path / kind, **more)
    student = begin(config_of({**checkpoints, "llama": lm}))
    asked = [PromptInput("Question: What?", False, student.encode_video(Noise(video_id="2")))]
    assert student.reply(asked, Mode.answer, 4)


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        ("mamba", {"state_size": 4}, "student.valley.lm=.*MambaForCausalLM does not support"),
        ("cohere", {"eos_token_id": 1}, "in a tree of tokens what it does not in a sequence"),  # it scales its logits
    ],
)
def test_language_model_that_reads_no_trees_is_one_line(
    kind: str, more: dict[str, Any], says: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    lm = write_lm(kind, tmp_path / kind, **more)
    with pytest.raises(UserError, match=says):
        begin(config_of({**checkpoints, "llama": lm}))


def test_wrong_checkpoints_are_one_line(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    swapped = {**checkpoints, "llama": checkpoints["clip"]}
    with pytest.raises(
        UserError, match=r"student.valley.lm=.* holds a clip model, and a causal language model is wanted"
    ):
        begin(config_of(swapped))
    with pytest.raises(UserError, match=r"student.valley.encoder=.*: there is no checkpoint there"):
        begin(config_of({**checkpoints, "clip": tmp_path / "nowhere"}))
    chat = write_lm("llama", tmp_path / "chat", "{{ messages[0].content | upper }}")
    with pytest.raises(UserError, match="its chat template does not write a message as it is given"):
        begin(config_of({**checkpoints, "llama": chat}))
