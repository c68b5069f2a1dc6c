"""Specialists `llava_next_video`, `llava_onevision`, `video_llava`, `qwen_vl`: a Video-LLM in this process.

    aotd execute specialists=paper
    aotd execute specialists/answering=qwen_vl specialists.answering.precision=int4

The families are those of the students (`aotd.students`), and so is the code that shows them frames and
has them write; a distilled student can be a specialist too. The paper's choice for action recognition
and for answering is LLaVA-NeXT-Video-DPO 7B (Table 1); both sub-tasks then share one model in memory.

Candidates for an action are ranked by the model's own probability of each as the reply, all of them in
one pass behind the video; a choice is the option whose letter is the likeliest next token. So nothing
is read out of a reply where there is something to choose from, and neither depends on luck.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

from transformers.utils.logging import disable_progress_bar

from aotd.errors import UserError
from aotd.llm.base import Reply
from aotd.models.checkpoints import checkpoint_name
from aotd.models.cpu import threads
from aotd.models.cpu.linear import pack
from aotd.models.model_cache import ModelCache
from aotd.models.quantisation import check_quantisation, precision_name
from aotd.prompts import one_line, render
from aotd.runtime.lru import ByteLRU
from aotd.specialists import ActionConfig, AnsweringConfig
from aotd.specialists.prompted import Asked, Prompted, choice_prompt, prompts_digest, shown, thinking_room
from aotd.video.clip import Clip
from aotd.video_llms.base import BatchRow, SharedPrefix, VideoFeatures, is_close
from aotd.video_llms.families import FAMILIES
from aotd.video_llms.pretrained import PretrainedVideoLLM, family_bytes, read_checkpoint, read_family_config

_CACHED_BYTES = 512 << 20
"""How much of what the vision tower gave stays in memory (the paper's model: 9 MB of a clip in bfloat16)."""


class VideoLLMSpecialist(Prompted):
    """A Video-LLM as recogniser and answerer; its weights are on a shelf."""

    def __init__(self, config: ActionConfig | AnsweringConfig, setting: str, models: ModelCache) -> None:
        """Args:
            config: `name` is the family.
            setting: where `config` stands among the settings, for errors.

        Raises:
            UserError: there is no such checkpoint, it is of another family, or the precision is not to be had here.
        """
        name, self.setting = config.name, setting
        self._family, self._config, self._models = FAMILIES[name], config, models
        self._path = f"{setting}.model"
        if not config.model:
            raise UserError(f"{self._path}: {name} needs a checkpoint: a folder or a hub id")
        if config.frames < 1:
            raise UserError(f"{setting}.frames={config.frames} must be 1 or more")
        check_quantisation(config.precision, f"{setting}.precision")
        self.batch = max(config.batch, 1)
        read_family_config(self._family, config.model, self._path)
        precision = precision_name(config.precision)
        self._key = f"{name} {config.model} {precision}"
        self.model = (
            f"{name} {checkpoint_name(config.model)}, {precision}, {config.frames} frames, prompts {prompts_digest()}"
            + thinking_room(config.thinking_tokens)
        )

    @cached_property
    def size(self) -> int:
        """Bytes of its weights."""
        return family_bytes(self._family, self._config.model, self._path, self._config.precision)

    def say(self, asked: Sequence[Asked], longest: int) -> list[Reply]:
        """As `Prompted.say`; up to `batch` prompts with equally many frames go through the model at once."""
        loaded = self._loaded()
        groups: dict[int, list[int]] = {}
        for at, (clip, _) in enumerate(asked):
            groups.setdefault(len(clip.numbers) if clip else 0, []).append(at)
        replies: dict[int, Reply] = {}
        size = self.batch
        for group in groups.values():
            for part in (group[first : first + size] for first in range(0, len(group), size)):
                group_asked = [asked[at] for at in part]
                say = partial(loaded.say, group_asked, self._config.frames, longest, self._config.thinking_tokens)
                replies.update(zip(part, threads.beside(self.size, say), strict=True))
        return [replies[at] for at in range(len(asked))]

    def ranks(self, asked: Sequence[tuple[Clip, str | None, Sequence[str]]]) -> list[list[str]]:
        """All candidates of each, by the mean log-probability of a reply's tokens, its end included.

        The mean is what training makes larger (`aotd.distill.loss`), and does not prefer short names as the
        sum would. Candidates are not listed in the prompt, so that their order says nothing. Those of one clip are
        a batch already.
        """
        loaded = self._loaded()
        return [threads.beside(self.size, partial(self._rank, loaded, *one)) for one in asked]

    def _rank(self, loaded: _Loaded, clip: Clip, obj: str | None, candidates: Sequence[str]) -> list[str]:
        prompt = render("clip_action_with", thing=one_line(obj)) if obj else render("clip_action")
        (scores,) = loaded.student.log_probs([loaded.row(clip, prompt, self._config.frames)], [candidates])
        # Rounded, so that the last bits, which depend on what else is in the pass, never decide.
        order = sorted(range(len(candidates)), key=lambda at: (-round(scores[at], 4), at))
        return [candidates[at] for at in order]

    def picks(self, asked: Sequence[tuple[str, int]]) -> list[int | None]:
        """The letter with the largest next-token logit; never None."""
        return threads.beside(self.size, partial(self._picks, self._loaded(), asked))

    def _picks(self, loaded: _Loaded, asked: Sequence[tuple[str, int]]) -> list[int | None]:
        student, beginning = loaded.student, loaded.choice_prefix()
        rows = [student.text_row(prompt) for prompt, _ in asked]
        most = max(count for _, count in asked)
        letters = [student.encode_reply(letter)[0] for letter in string.ascii_uppercase[:most]]
        assert len(set(letters)) == most, "each letter begins with a token of its own"
        size, picked = self.batch, []
        for first in range(0, len(rows), size):
            logits = student.next_logits(rows[first : first + size], beginning)[:, letters]
            for at, own in enumerate(logits, start=first):
                own = own[: asked[at][1]]
                if len(logits) > 1 and is_close(own[None]).any():
                    own = student.next_logits([rows[at]], beginning)[0, letters[: asked[at][1]]]
                picked.append(int(own.argmax()))
        return [*picked]

    def _loaded(self) -> _Loaded:
        return self._models.take(self._key, self.size, self._load)

    def _load(self) -> _Loaded:
        config = self._config
        disable_progress_bar()  # type: ignore[no-untyped-call]
        model, tokenizer, pictures = read_checkpoint(self._family, config.model, self._path, config.precision)
        model.requires_grad_(False)
        pack(model)
        return _Loaded(self._family(model, tokenizer, pictures, config.frames, config.frames))


class _Loaded:
    """A model in memory, what its tower made of the clips it saw last, and what it read of what prompts begin with."""

    def __init__(self, student: PretrainedVideoLLM) -> None:
        self.student = student
        self._features: ByteLRU[tuple[Any, ...], VideoFeatures] = ByteLRU(_CACHED_BYTES, _bytes)
        self._choice_prefix: SharedPrefix | None = None

    def row(self, clip: Clip | None, prompt: str, frames: int) -> BatchRow:
        return (
            self.student.text_row(prompt)
            if clip is None
            else self.student.prompt_row(self.features(clip, frames), prompt)
        )

    def say(self, asked: Sequence[Asked], frames: int, longest: int, thinking_tokens: int | None) -> list[Reply]:
        return self.student.generate([self.row(*one, frames) for one in asked], longest, thinking_tokens)

    def features(self, clip: Clip, frames: int) -> VideoFeatures:
        """What the model keeps of a clip; looked at once while it stays among the last."""
        video = clip.video
        part = (video.content, video.frames, video.start_s, video.end_s)
        key = (*part, clip.numbers, tuple(sorted(clip.crops.items())), frames)
        if key not in self._features:
            self._features[key] = self.student.encode_frames(*shown(clip, frames))
        return self._features[key]

    def choice_prefix(self) -> SharedPrefix:
        """What prompts for a choice begin with, read once."""
        if self._choice_prefix is None:
            prompts = [choice_prompt(word, {word: word}, [word]) for word in ("a", "1")]
            self._choice_prefix = self.student.shared_prefix([self.student.text_row(prompt) for prompt in prompts])
        return self._choice_prefix


def _bytes(features: VideoFeatures) -> int:
    return sum(tensor.nbytes for tensor in features.values())
