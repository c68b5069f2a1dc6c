"""What it saves that `llm=transformers` reads what prompts share once, and answers in batches.

    python benchmarks/llm_prefix.py

The prompts are those of `decompose`: questions of playroom of all its types, each behind the tools, the rules and the
example programs that ship. The model is a Llama of random weights, with a tokenizer made from the same prompts. It
hardly ever ends a reply by itself: nearly all are as long as `--tokens` lets them be. Its rival reads the same weights,
tokens and chat format and has transformers' `generate` answer one prompt after another. Both are greedy, in float32, on
the same threads, and read the prompts while the clock runs. The last line is JSON; `ratio` is of prompts per second.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aotd.agents.program.examples import read_programs
from aotd.agents.program.prompting import examples_for, program_prompt
from aotd.datasets import star
from aotd.datasets.base import DatasetConfig
from aotd.datasets.playroom import PlayroomConfig
from aotd.datasets.playroom.build import entries
from aotd.decompose import DecomposeConfig
from aotd.llm import LLMConfig
from aotd.llm.base import GenerationRequest, Reply
from aotd.llm.local import encode_prompt
from aotd.llm.transformers import ROUNDING, TransformersEngine
from aotd.tools.video import VIDEO_TOOLS

CHAT = (
    "{% for m in messages %}{{ m.role }}:\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)


def prompts(folder: Path, count: int) -> tuple[list[str], int]:
    """`count` different prompts of playroom's questions, and how many types of questions they are of."""
    path = folder / "STAR_train.json"
    path.write_text(json.dumps(entries(PlayroomConfig(train_videos=40), "train")), encoding="utf-8")
    questions = star.read(DatasetConfig(root=str(folder), questions=str(path), split="train")).questions
    programs, settings = read_programs(), DecomposeConfig()
    asked = {}
    for question in questions:
        text = program_prompt(question, examples_for(question, programs, settings), VIDEO_TOOLS)
        if len(asked) < count:
            asked.setdefault(text, question.type)
    return list(asked), len(set(asked.values()))


def save(folder: Path, asked: list[str], layers: int, width: int) -> None:
    """A Llama with random weights, and a tokenizer whose texts are its tokens with blanks between: equal texts are
    equal tokens."""
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokens.train_from_iterator(asked, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="<|end|>", chat_template=CHAT).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokens.get_vocab_size(), hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=max(width // 128, 1), max_position_embeddings=8192,
        bos_token_id=None, eos_token_id=0, pad_token_id=0, initializer_range=0.1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def alone(network: Any, tokenizer: Any, request: GenerationRequest) -> Reply:
    """What `generate` makes of one prompt."""
    how = GenerationConfig(do_sample=False, max_new_tokens=request.max_tokens, pad_token_id=0, eos_token_id=0)
    ids = torch.tensor([encode_prompt(tokenizer, request)])
    with torch.inference_mode():
        row = network.generate(ids, attention_mask=torch.ones_like(ids), generation_config=how)
    said = row[0, ids.shape[1] :].tolist()
    finished = 0 in said
    said = said[: said.index(0)] if finished else said
    return Reply(tokenizer.decode(said), finished, ids.shape[1], len(said))


def moved(engine: TransformersEngine, network: Any, texts: list[str]) -> float:
    """How far the scores behind prompts lie from those of each prompt alone, as a share of the largest score."""
    rows = [encode_prompt(engine._tokenizer, GenerationRequest.from_prompt(text, 1)) for text in texts]
    shares = []
    with torch.inference_mode():
        assert engine._prefix_cache is not None
        cache, alike = engine._prefix_cache.past(rows, room=1)
        padded = engine._padded(rows, alike)
        mask, last = padded["attention_mask"], padded["input_ids"][:, -1:]
        given = {"attention_mask": mask, "position_ids": mask.cumsum(1)[:, -1:] - 1, "past_key_values": cache}
        together = engine._network(last, **given).logits[:, -1]
        for row, scores in zip(rows, together, strict=True):
            expected = network(torch.tensor([row]), logits_to_keep=1).logits[0, -1]
            shares.append(float((scores - expected).abs().max() / expected.abs().max()))
    return max(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=96, help="longest reply; a program has 60 to 200")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts, types = prompts(folder, settings.prompts)
        save(folder, texts, settings.layers, settings.width)
        engine = TransformersEngine(LLMConfig(model=str(folder), batch=settings.batch))
        network = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    again: list[int] = []
    generate = engine._network.generate

    def counted(**given: Any) -> Any:
        # One row is a prompt that is asked again, alone.
        if len(given["input_ids"]) == 1:
            again.append(given["input_ids"].shape[1])
        return generate(**given)

    engine._network.generate = counted
    alone(network, tokenizer, GenerationRequest.from_prompt("warm up", 8))
    requests = [GenerationRequest.from_prompt(text, settings.tokens) for text in texts]
    replies = engine.stream(requests)
    together_s = alone_s = 0.0
    same, sent, said = [], 0, 0
    # In turns, a batch each, so that whatever else the machine does slows both down.
    while True:
        start = time.perf_counter()
        batch = list(islice(replies, settings.batch))
        together_s += time.perf_counter() - start
        if not batch:
            break
        start = time.perf_counter()
        expected = [alone(network, tokenizer, request) for request, _ in batch]
        alone_s += time.perf_counter() - start
        same += [mine == theirs for (_, mine), theirs in zip(batch, expected, strict=True)]
        sent += sum(reply.prompt_tokens for reply in expected)
        said += sum(reply.reply_tokens for reply in expected)
    assert len(same) == len(requests)
    assert engine._prefix_cache is not None
    # The decoding reads the last token of each prompt.
    read = engine._prefix_cache.computed + len(requests) + sum(again)
    print(f"{len(requests)} prompts of {types} types of questions, {sent / len(requests):.0f} tokens each, on average")
    print(f"{'':<34}{'prompts per second':>20}{'tokens read':>14}")
    print(f"{'one at a time':<34}{len(requests) / alone_s:>20.2f}{sent:>14}")
    print(f"{f'shared beginnings, batches of {settings.batch}':<34}{len(requests) / together_s:>20.2f}{read:>14}")
    shift = moved(engine, network, texts[: settings.batch])
    print(f"scores moved by rounding: {shift:.1e} of the largest; a reply is asked for again below {2 * ROUNDING:.1e}")
    result = {
        "ratio": round(alone_s / together_s, 2), "same_tokens": all(same), "different": same.count(False),
        "prompts": len(requests), "types": types, "tokens_sent": sent, "tokens_read": read, "reply_tokens": said,
        "asked_again": len(again), "moved": float(f"{shift:.2g}"),
        "batch": settings.batch, "cores": torch.get_num_threads(),
        "seconds": {"one at a time": round(alone_s, 1), "together": round(together_s, 1)},
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
