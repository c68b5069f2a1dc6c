"""Trains a toy vision-language model for one step on an export's `train.jsonl` with TRL's SFTTrainer.

Prints what the trainer's own collator made of the first rows as JSON.
"""

from __future__ import annotations

import json
import sys

from datasets import Image, List, load_dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from trl import SFTConfig, SFTTrainer

TEMPLATE = """{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}\
{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}\
{% if m['role'] == 'assistant' %}</s>{% endif %}
{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"""

folder = sys.argv[1]
rows = load_dataset("json", data_files=f"{folder}/train.jsonl", split="train", cache_dir=f"{folder}.cache")
rows = rows.cast_column("images", List(Image()))

words = Tokenizer(models.BPE())
words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
words.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
words.train_from_iterator(
    [], trainers.BpeTrainer(special_tokens=["<pad>", "</s>", "<image>"], initial_alphabet=alphabet, show_progress=False)
)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token="<pad>", eos_token="</s>", additional_special_tokens=["<image>"]
)
picture = tokenizer.convert_tokens_to_ids("<image>")
processor = LlavaProcessor(
    image_processor=CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
    tokenizer=tokenizer,
    patch_size=14,
    vision_feature_select_strategy="default",
    image_token="<image>",
    num_additional_image_tokens=1,
    chat_template=TEMPLATE,
)
small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
config = LlavaConfig(
    vision_config=CLIPVisionConfig(**small, num_hidden_layers=2, image_size=28, patch_size=14).to_dict(),
    text_config=LlamaConfig(**small, num_hidden_layers=1, vocab_size=len(tokenizer)).to_dict(),
    image_token_index=picture,
)
arguments = SFTConfig(
    output_dir=f"{folder}.out",
    max_steps=1,
    per_device_train_batch_size=2,
    max_length=None,
    report_to=[],
    use_cpu=True,
    bf16=False,
    save_strategy="no",
    disable_tqdm=True,
)
trainer = SFTTrainer(
    model=LlavaForConditionalGeneration(config), args=arguments, train_dataset=rows, processing_class=processor
)
batch = trainer.data_collator([trainer.train_dataset[0], trainer.train_dataset[1]])
trainer.train()
print(
    json.dumps(
        {
            "pictures": len(batch["pixel_values"]),
            "placeholders": (batch["input_ids"] == picture).sum(1).tolist(),
            "in_the_loss": [tokenizer.decode(labels[labels != -100]) for labels in batch["labels"]],
            "steps": trainer.state.global_step,
        }
    )
)
