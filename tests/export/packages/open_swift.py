"""Opens `train.jsonl` of an export's folder with ms-swift's own loader; prints what it came to as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from swift.dataset import load_dataset
from swift.template import Template
from swift.template.template_inputs import StdTemplateInputs

rows, _ = load_dataset(f"{sys.argv[1]}/train.jsonl", split_dataset_ratio=0.0, num_proc=1, strict=True)
inputs = [StdTemplateInputs.from_dict(row) for row in rows]
tags = []
for one in inputs:
    words = [message["content"] for message in one.messages]
    parts, _ = Template._split_special_tokens(words, [1.0] * len(words))
    tags.append([part for part in parts if part in Template.special_tokens])
videos = [one.videos[0] for one in inputs]
files = [path for video in videos for path in ([video] if isinstance(video, str) else video)]
print(
    json.dumps(
        {
            "asked": [one.messages[0]["content"] for one in inputs],
            "replies": [one.messages[1]["content"] for one in inputs],
            "tags": tags,
            "videos": [len(one.videos) for one in inputs],
            "missing": [path for path in files if not Path(path).is_file()],
        }
    )
)
