"""X-CLIP (Ni et al. 2022) through transformers: which of some texts a clip shows best.

A discriminative model: it chooses among names and makes none up. Its frames exchange messages inside the tower,
so what is kept is of a clip as a whole, not of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoTokenizer, XCLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from aotd.datasets.star import STAR_VERBS
from aotd.errors import UserError
from aotd.models.checkpoints import checkpoint_name
from aotd.models.cpu import threads
from aotd.models.cpu.linear import pack
from aotd.models.loading import empty_model, load_frozen, load_part, read_config
from aotd.models.lru import FeatureLRU, Features, frame_key
from aotd.models.model_cache import ModelCache
from aotd.models.quantisation import precision_name, weights_bytes
from aotd.specialists import ActionConfig
from aotd.specialists.query_terms import alternatives, sentence
from aotd.store.files import digest
from aotd.video.clip import Clip

_MOST = 5
"""Names that are given where a program names no candidates (the paper asks for five, appendix B.2)."""


class XCLIPRecogniser:
    """Names in the order of X-CLIP's probability."""

    def __init__(self, config: ActionConfig, models: ModelCache) -> None:
        """Reads the checkpoint's configuration; the weights are loaded when a clip is first looked at.

        Raises:
            UserError: the checkpoint is not there or of another family, or the file of names is not there.
        """
        self._config, self._models = config, models
        settings = read_config(config.model, "specialists.action.model", "xclip")
        self._frames: int = settings.vision_config.num_frames
        self._longest: int = settings.text_config.max_position_embeddings
        self._settings = settings
        self._size = weights_bytes(empty_model(XCLIPModel, settings), config.precision)
        self._processor: Any = load_part(config.model, "specialists.action.model", CLIPImageProcessorPil)
        self._tokenizer: Any = load_part(config.model, "specialists.action.model", AutoTokenizer)
        self._names = _read_names(config.names) if config.names else None
        self._seen, self._read = FeatureLRU(), FeatureLRU()
        self.model = f"xclip {checkpoint_name(config.model)}, {precision_name(config.precision)}"
        if self._names is not None:
            self.model += f", names {digest(self._names)}"

    def actions(self, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        """The candidates, most likely first; see `base.Recogniser`.

        With `obj`, a candidate that does not name it is read with it: "opening", "door" as "opening the door".
        Without candidates the five likeliest names: of the file `specialists.action.names` those that name `obj`,
        or STAR's verbs with `obj`, or with "something".
        """
        things = alternatives(obj or "")
        thing = " or ".join(things)
        if candidates:
            told = {
                name: name if not things or _names(name, things) else f"{name.rstrip(' .')} the {thing}"
                for name in candidates
            }
        else:
            told = {name: name for name in self._known(things)}
        texts = {name: text for name in told if (text := sentence(told[name]))}
        seen = [number for number in clip.numbers if clip.shows(number)]
        if not seen or not texts:
            return []
        self._model()  # loaded by this thread
        logits = threads.beside(self._size, partial(self._logits, clip.keep(seen), list(texts.values())))
        scores = dict(zip(texts, logits.tolist(), strict=True))
        # Rounded, so that the last bits never decide.
        ranked = sorted(texts, key=lambda name: -round(scores[name], 4))
        return ranked if candidates else ranked[:_MOST]

    def room(self) -> int:
        """How many clips' features can be kept."""
        return self._seen.room()

    def _known(self, things: list[str]) -> list[str]:
        if self._names is not None:
            return [name for name in self._names if not things or _names(name, things)]
        # "drinking from the bottle", "drinking from something"
        thing = f"the {' or '.join(things)}" if things else "something"
        return [f"{verb.doing} {thing}" for verb in STAR_VERBS.values()]

    @torch.inference_mode()
    def _logits(self, clip: Clip, texts: list[str]) -> Tensor:
        """X-CLIP's logit of each text, `[texts]`."""
        model = self._model()
        count = len(clip.numbers)
        numbers = [clip.numbers[int((at + 0.5) * count / self._frames)] for at in range(self._frames)]
        keys = [tuple(frame_key(clip, number) for number in numbers)]
        ((video, patches),) = self._seen.each(keys, lambda _: [self._look(clip, numbers)])
        words = torch.stack([vector for (vector,) in self._read.each(texts, lambda new: self._embed(texts, new))])[None]
        # Each text is told what the video shows before it is compared with it.
        words = words + model.prompts_generator(words, patches)
        alike = (normalize(words.float(), dim=-1) @ normalize(video.float(), dim=-1)[0][:, None])[0, :, 0]
        logits: Tensor = alike * model.logit_scale.float().exp()
        return logits

    def _look(self, clip: Clip, numbers: list[int]) -> Features:
        """The video as one vector `[1, width]`, and its patches over time for the texts `[1, patches, width]`."""
        model = self._model()
        pictures = [clip.pixels(number) for number in numbers]
        pixels = self._processor(pictures, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
        seen = model.vision_model(pixels.to(model.device, model.dtype))
        frames = model.visual_projection(seen.pooler_output)[None]
        patches = model.prompts_visual_layernorm(seen.last_hidden_state[:, 1:]) @ model.prompts_visual_projection
        return model.mit(frames).pooler_output, patches.mean(dim=0, keepdim=True)

    def _embed(self, texts: list[str], new: list[int]) -> list[Features]:
        model = self._model()
        found: list[Features] = []
        for at in new:  # one by one: a text is rounded otherwise beside longer ones
            tokens = self._tokenizer([texts[at]], truncation=True, max_length=self._longest, return_tensors="pt").to(
                model.device
            )
            found.append((model.get_text_features(**tokens).pooler_output[0],))
        return found

    def _model(self) -> Any:
        path, precision = self._config.model, self._config.precision
        return self._models.take(
            f"xclip {path} {precision.value}",
            self._size,
            lambda: pack(load_frozen(path, "specialists.action.model", XCLIPModel, self._settings, precision)),
        )


def _names(name: str, things: list[str]) -> bool:
    """Whether a text names one of these things."""
    said = f" {' '.join(name.lower().replace('/', ' ').strip(' .').split())} "
    return any(f" {one} " in said for one in things)


def _read_names(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"specialists.action.names={path}: cannot be read ({error})") from None
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not names:
        raise UserError(f"specialists.action.names={path}: has no lines")
    return names
