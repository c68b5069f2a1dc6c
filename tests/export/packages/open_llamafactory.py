"""Opens `aotd_train` of an export's folder with LLaMA-Factory's own loader; prints what it came to as JSON."""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types

try:
    import torchaudio  # noqa: F401
except (ImportError, OSError):
    # LLaMA-Factory imports it at the top for sound files; its wheel does not load beside every torch.
    stand_in = types.ModuleType("torchaudio")
    stand_in.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = stand_in

from llamafactory.data.loader import _load_single_dataset
from llamafactory.data.mm_plugin import get_mm_plugin
from llamafactory.data.parser import get_dataset_list
from llamafactory.hparams import DataArguments

folder = sys.argv[1]
arguments = DataArguments(dataset="aotd_train", dataset_dir=folder, template="qwen2_vl", overwrite_cache=True)
(named,) = get_dataset_list(["aotd_train"], folder)
model = types.SimpleNamespace(cache_dir=f"{folder}.cache", hf_hub_token=None)
training = types.SimpleNamespace(local_process_index=0, dataloader_num_workers=0)
rows = _load_single_dataset(named, model, arguments, training)
plugin = get_mm_plugin("qwen2_vl", image_token="<|image_pad|>", video_token="<|video_pad|>")
for row in rows:
    # Raises unless there are as many videos as placeholders.
    plugin._validate_messages(row["_prompt"] + row["_response"], [], row["_videos"], [])
sizes = {"image_max_pixels": 256 * 256, "image_min_pixels": 256, "video_fps": 1000.0, "video_maxlen": 32}
(frames,) = plugin._regularize_videos(rows[0]["_videos"], **sizes)["videos"]
print(
    json.dumps(
        {
            "asked": [row["_prompt"][0]["content"] for row in rows],
            "replies": [row["_response"][0]["content"] for row in rows],
            "frames": [len(frames), *frames[0].size],
        }
    )
)
