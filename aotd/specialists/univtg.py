"""UniVTG (Lin et al., ICCV 2023), the paper's temporal grounder: our own network for the authors' weights.

A video is a row of clips of a fixed length (2 s in most checkpoints) with one feature each. Every clip says how
likely it lies in the foreground, and how far before and after it the moment reaches; the window of the likeliest
clip is the moment. Parameter names, sizes and mathematics are those of the authors' repository
(showlab/UniVTG, MIT), so that their state dicts load as they are; the code is ours. A checkpoint is a folder with
`model.safetensors` and the `opt.json` that the authors' training writes (docs/specialists.md says how to convert).

Features: CLIP's of the frame nearest the middle of each clip, made here; checkpoints that were trained on
SlowFast and CLIP together want SlowFast's as well, made beforehand (one row per clip, from the start of the file).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from aotd.datasets.base import locate
from aotd.errors import QuestionError, UserError
from aotd.models import WeightsConfig
from aotd.models.checkpoints import COMPLAINTS, check_finite, first_line, folder_name
from aotd.models.model_cache import ModelCache
from aotd.models.quantisation import device, refuse_quantisation
from aotd.records import Outcome, SpanFinding
from aotd.specialists import GroundingConfig
from aotd.specialists.imagetext import ImageText
from aotd.specialists.query_terms import sentence
from aotd.store.files import digest
from aotd.store.untrusted import read_object
from aotd.video.clip import Clip, Video

SLOWFAST = 2304
"""Width of SlowFast features."""
_EDGES = 2
"""Start and end of each clip as shares of the video, behind its features (`tef` in the authors' settings)."""
_WEIGHTS, _SETTINGS = "model.safetensors", "opt.json"


class Options(BaseModel):
    """What `opt.json` says that the weights do not; its many other entries are read by nothing here."""

    model_config = ConfigDict(extra="ignore")

    nheads: int = 8
    clip_length: float = Field(default=2.0, gt=0)
    """Seconds that one feature stands for."""
    ctx_mode: str = "video_tef"
    use_txt_pos: bool = False
    no_norm_vfeat: bool = False
    no_norm_tfeat: bool = False
    pre_norm: bool = False
    span_loss_type: str = "l1"


@dataclass(frozen=True)
class Sizes:
    """What a state dict says of its own network."""

    video: int
    """Width of a clip's features, its edges included."""
    text: int
    hidden: int
    feedforward: int
    layers: int
    projections: int
    words: int
    """Places for which a text's tokens have a position."""

    @staticmethod
    def of(shapes: dict[str, list[int]]) -> Sizes:
        """From the shapes of the weights; KeyError where one is not there that tells a size."""
        hidden, text = shapes["input_txt_proj.0.net.1.weight"]
        return Sizes(
            video=shapes["input_vid_proj.0.net.1.weight"][1],
            text=text,
            hidden=hidden,
            feedforward=shapes["transformer.encoder.layers.0.linear1.bias"][0],
            layers=sum(name.endswith(".linear1.bias") for name in shapes),
            projections=sum(name.startswith("input_vid_proj.") and name.endswith(".net.1.bias") for name in shapes),
            words=shapes["txt_position_embed.position_embeddings.weight"][0],
        )


class _Projection(nn.Module):
    """Layer norm and linear layer; ReLU behind all but the last of a row."""

    def __init__(self, given: int, hidden: int, last: bool) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(given)
        # The authors' dropout stands at 0, so that the linear layer has the name it has there.
        self.net = nn.Sequential(nn.Identity(), nn.Linear(given, hidden))
        self._last = last

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.net(self.LayerNorm(features))
        return projected if self._last else relu(projected)


def _projections(given: int, hidden: int, count: int) -> nn.Sequential:
    widths = [given, *[hidden] * (count - 1)]
    return nn.Sequential(*(_Projection(width, hidden, at == count - 1) for at, width in enumerate(widths)))


class _Head(nn.Module):
    """Three convolutions over time, each over a clip and its neighbours."""

    def __init__(self, hidden: int, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(hidden, width, 3, padding=1) for width in (hidden, hidden, out))

    def forward(self, clips: Tensor) -> Tensor:
        x = clips.transpose(1, 2)
        for at, layer in enumerate(self.layers):
            x = layer(x if at == 0 else relu(x))
        return x.transpose(1, 2)


class _Layer(nn.Module):
    """A transformer layer that norms behind each block; positions are added to queries and keys only."""

    def __init__(self, hidden: int, feedforward: int, heads: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(hidden, feedforward), nn.Linear(feedforward, hidden)
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        asking = tokens + places
        tokens = self.norm1(tokens + self.self_attn(asking, asking, tokens, need_weights=False)[0])
        normed: Tensor = self.norm2(tokens + self.linear2(gelu(self.linear1(tokens))))
        return normed


class _TextPlaces(nn.Module):
    """Learned positions of a text's tokens; few checkpoints use them, all have them."""

    def __init__(self, words: int, hidden: int) -> None:
        super().__init__()
        self.position_embeddings = nn.Embedding(words, hidden)
        self.LayerNorm = nn.LayerNorm(hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        places: Tensor = self.LayerNorm(tokens + self.position_embeddings.weight[: tokens.shape[1]])
        return places


class UniVTG(nn.Module):
    """The network, for one video and one text at a time."""

    def __init__(self, sizes: Sizes, heads: int, text_places: bool = False) -> None:
        super().__init__()
        hidden = sizes.hidden
        self.transformer = nn.ModuleDict({"encoder": nn.ModuleDict({"layers": nn.ModuleList(
            _Layer(hidden, sizes.feedforward, heads) for _ in range(sizes.layers)
        )})})  # fmt: skip
        self.txt_position_embed = _TextPlaces(sizes.words, hidden)
        self.token_type_embeddings = nn.Embedding(2, hidden)
        self.span_embed, self.class_embed = _Head(hidden, 2), _Head(hidden, 1)
        self.input_txt_proj = _projections(sizes.text, hidden, sizes.projections)
        self.input_vid_proj = _projections(sizes.video, hidden, sizes.projections)
        self.weightedpool = nn.ParameterDict({"weight": nn.Parameter(torch.zeros(hidden, 1))})
        self._text_places = text_places

    def forward(self, video: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each clip says.

        Args:
            video: features of the clips, `[clips, width]`, edges included.
            text: features of the tokens, `[tokens, width]`.

        Returns:
            Foreground `[clips]` in [0, 1]; how far the moment reaches before and after the clip, `[clips, 2]`, as
            shares of the video in [-1, 0] and [0, 1]; saliency `[clips]` in [-1, 1], the cosine of clip and text
            before they meet in the transformer.
        """
        clips = self.input_vid_proj(video[None]) + self.token_type_embeddings.weight[1]
        words = self.input_txt_proj(text[None]) + self.token_type_embeddings.weight[0]
        word_places = self.txt_position_embed(words) if self._text_places else torch.zeros_like(words)
        tokens = torch.cat([clips, words], dim=1)
        places = torch.cat([_sines(clips.shape[1], clips.shape[2]).to(clips), word_places], dim=1)
        for layer in self.transformer["encoder"]["layers"]:  # type: ignore[index]
            tokens = layer(tokens, places)
        seen = tokens[:, : clips.shape[1]]
        reach = self.span_embed(seen)[0].sigmoid() * torch.tensor([-1.0, 1.0]).to(clips)
        weights = (words @ self.weightedpool["weight"]).softmax(dim=1)
        said = (words * weights).sum(dim=1, keepdim=True)
        return self.class_embed(seen)[0, :, 0].sigmoid(), reach, torch.cosine_similarity(clips, said, dim=-1)[0]


def _sines(clips: int, width: int) -> Tensor:
    """Sine and cosine, in turn, of each clip's place on a circle: `[1, clips, width]`."""
    place = torch.arange(1, clips + 1, dtype=torch.float32) / (clips + 1e-6) * (2 * math.pi)
    pairs = torch.arange(width, dtype=torch.float32).div(2).int()
    angle = place[:, None] / 10000 ** (2 * pairs / width)
    return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)[None]


def unit(features: Tensor) -> Tensor:
    """Rows of length 1, as the authors make them."""
    made: Tensor = features / (features.norm(dim=-1, keepdim=True) + 1e-5)
    return made


def windows(foreground: Tensor, reach: Tensor, clip_length: float) -> Tensor:
    """Each clip's window as shares of the video, `[clips, 2]` in [0, 1].

    The authors set a clip's place at `(i + clip_length / 2) / clips`, where its middle is only for clips of 1 s;
    the weights were trained with it, so we do the same.
    """
    place = (torch.arange(len(foreground)).to(reach) + clip_length / 2) / len(foreground)
    return (place[:, None] + reach).clamp(0, 1)


class UniVTGGrounder:
    """UniVTG over the frames of a clip."""

    def __init__(self, config: GroundingConfig, models: ModelCache, options: Options, sizes: Sizes, name: str) -> None:
        towers = WeightsConfig(model=config.clip, precision=config.precision, batch=config.batch)
        self._config, self._models, self._options, self._sizes = config, models, options, sizes
        self._towers = ImageText("grounding", towers, models)
        self._slowfast: tuple[str, Tensor] | None = None
        self.model = f"univtg {name}, {digest(options.model_dump())}, {self._towers.model}"
        if config.features:
            # Names and sizes: to read the files of a large dataset would take longer than most runs.
            files = sorted((path.name, path.stat().st_size) for path in Path(config.features).iterdir())
            self.model += f", slowfast {Path(config.features).resolve().name} ({digest(files)})"

    def ground(self, clip: Clip, query: str) -> SpanFinding | None:
        """The likeliest window, inside the clip; None of an empty clip or query.

        The clip's frames, side by side, are the video: `n` frames of `d` seconds are cut into
        `round(n * d / clip_length)` equal clips, and each has the feature of the frame in its middle. A window is
        brought back to the frames whose borders lie nearest. `score` is the foreground of the clip that said it.
        """
        asked = sentence(query)
        if not clip.numbers or not asked:
            return None
        text = self._towers.states(asked)
        if not self._options.no_norm_tfeat:
            text = unit(text)
        model: UniVTG = self._models.take(f"univtg {self._config.model}", self._size(), self._load)
        where = model.weightedpool["weight"].device
        with torch.inference_mode():
            foreground, reach, _ = model(self._features(clip).to(where), text.to(where))
            best = int(foreground.argmax())
            start, end = windows(foreground, reach, self._options.clip_length)[best].tolist()
        frames = len(clip.numbers)
        first = min(round(start * frames), frames - 1)
        last = min(max(round(end * frames), first + 1), frames)
        return SpanFinding(
            start=clip.numbers[first], end=clip.numbers[last - 1] + 1, score=round(float(foreground[best]), 3)
        )

    def room(self) -> int:
        """How many videos' vectors can be kept."""
        return self._towers.room()

    def _features(self, clip: Clip) -> Tensor:
        """Features of the clips that the frames are cut into, `[clips, width]`."""
        video = clip.video
        part = (video.end_s - video.start_s) / video.frames
        frames = len(clip.numbers)
        count = max(1, round(frames * part / self._options.clip_length))
        middles = [(at + 0.5) * frames / count for at in range(count)]
        kinds = [self._towers.frames(clip)[[int(middle) for middle in middles]]]
        if self._wants_slowfast():
            times = [video.start_s + (clip.numbers[int(m)] + m % 1) * part for m in middles]
            kinds.insert(0, self._rows(video, times))
        if not self._options.no_norm_vfeat:
            kinds = [unit(kind) for kind in kinds]
        if "tef" in self._options.ctx_mode:
            edges = torch.arange(count) / count
            kinds.append(torch.stack([edges, edges + 1 / count], dim=1))
        return torch.cat(kinds, dim=1)

    def _wants_slowfast(self) -> bool:
        return self._sizes.video > SLOWFAST

    def _rows(self, video: Video, times: list[float]) -> Tensor:
        """SlowFast's features at these seconds of the file."""
        if self._slowfast is None or self._slowfast[0] != video.video_id:
            self._slowfast = video.video_id, read_features(self._config.features, video.video_id)
        rows = self._slowfast[1]
        length = self._options.clip_length
        if len(rows) < math.floor(video.end_s / length):
            raise QuestionError(
                Outcome.tool_failed,
                f"SlowFast features of video {video.video_id} end at {len(rows) * length:g} s of {video.end_s:g}",
            )
        return rows[[min(int(time / length), len(rows) - 1) for time in times]]

    def _load(self) -> UniVTG:
        try:
            model = UniVTG(self._sizes, self._options.nheads, self._options.use_txt_pos)
            model.load_state_dict(_weights(self._config.model))
        except COMPLAINTS as error:
            why = " ".join(str(error).split())[:200]
            raise UserError(f"specialists.grounding.model={self._config.model} is not UniVTG's: {why}") from None
        check_finite(model, f"specialists.grounding.model={self._config.model}")
        return model.to(device()).eval().requires_grad_(False)

    def _size(self) -> int:
        return (Path(self._config.model) / _WEIGHTS).stat().st_size


def load_univtg(config: GroundingConfig, models: ModelCache) -> UniVTGGrounder:
    """The grounder over a converted checkpoint of the authors'; see the module.

    Raises:
        UserError: no such checkpoint, one of another network, or one whose features cannot be made here.
    """
    setting = f"specialists.grounding.model={config.model}"
    refuse_quantisation(config.precision, "specialists.grounding.precision", "univtg")
    folder = Path(config.model)
    missing = [name for name in (_WEIGHTS, _SETTINGS) if not config.model or not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{setting}: there is no {missing[0]}; univtg wants a folder with {_WEIGHTS} and {_SETTINGS} "
            "(docs/specialists.md says how to convert the authors' checkpoint)"
        )
    options = _options(folder / _SETTINGS, setting)
    try:
        sizes = Sizes.of(_shapes(config.model))
    except KeyError as error:
        raise UserError(f"{setting} is not UniVTG's: it has no weight {error}") from None
    grounder = UniVTGGrounder(config, models, options, sizes, folder_name(folder))
    _check_widths(setting, config, options, sizes, grounder._towers)
    return grounder


def _check_widths(setting: str, config: GroundingConfig, options: Options, sizes: Sizes, towers: ImageText) -> None:
    """Whether the features that can be had are those that the checkpoint was trained on."""
    seen = sizes.video - (_EDGES if "tef" in options.ctx_mode else 0)
    wants = f"{setting} was trained on features of width {seen} for clips and {sizes.text} for words"
    if sizes.text != towers.text_width or seen not in (towers.width, SLOWFAST + towers.width):
        raise UserError(
            f"{wants}; specialists.grounding.clip={config.clip} gives {towers.width} (with SlowFast "
            f"{SLOWFAST + towers.width}) and {towers.text_width}"
        )
    if seen > towers.width and not config.features:
        raise UserError(
            f"{wants}, SlowFast's among them: set specialists.grounding.features to the folder that holds these, "
            "or take a checkpoint that was trained on CLIP alone"
        )
    if config.features and not Path(config.features).is_dir():
        raise UserError(f"specialists.grounding.features={config.features}: no such folder")


def _options(path: Path, setting: str) -> Options:
    try:
        options = Options.model_validate(read_object(path, str(path)))
    except ValidationError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())[:200]}") from None
    if options.pre_norm or options.span_loss_type != "l1" or "video" not in options.ctx_mode:
        raise UserError(f"{setting}: {_SETTINGS} names a variant of UniVTG that is not built here")
    return options


def _weights(folder: str) -> dict[str, Tensor]:
    """A checkpoint's state dict; names as saved from several GPUs lose their `module.`."""
    weights = load_file(Path(folder) / _WEIGHTS)
    return {name.removeprefix("module."): weight.float() for name, weight in weights.items()}


def _shapes(folder: str) -> dict[str, list[int]]:
    """Shapes of the weights, from the file's header."""
    try:
        with safe_open(Path(folder) / _WEIGHTS, "pt") as file:
            return {name.removeprefix("module."): file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"specialists.grounding.model={folder}: {_WEIGHTS} cannot be read ({error})") from None


def read_features(folder: str, video_id: str) -> Tensor:
    """SlowFast features of a video, `[clips, 2304]`; `<video_id>.npz` (as `features`), `.npy` or `.safetensors`.

    Raises:
        QuestionError: `tool_failed`: there are none, or the file holds something else. Nothing is unpickled.
    """
    try:
        paths = [locate(folder, video_id + ending) for ending in (".npz", ".npy", ".safetensors")]
    except UserError as error:  # the id of one video, which is a stranger's
        raise QuestionError(Outcome.tool_failed, str(error)) from None
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise QuestionError(Outcome.tool_failed, f"there are no SlowFast features of video {video_id} in {folder}")
    try:
        rows = _stored(path)
    except (*COMPLAINTS, EOFError, BadZipFile, SafetensorError) as error:
        raise QuestionError(
            Outcome.tool_failed, f"{path.name}: no features can be read ({first_line(error)})"
        ) from None
    if rows.ndim != 2 or rows.shape[1] != SLOWFAST or not len(rows):
        raise QuestionError(
            Outcome.tool_failed, f"{path.name}: wants [clips, {SLOWFAST}], and holds {list(rows.shape)}"
        )
    return rows.float()


def _stored(path: Path) -> Tensor:
    if path.suffix == ".safetensors":
        return load_file(path)["features"]
    with path.open("rb") as source:
        stored: Any = np.load(source, allow_pickle=False)
        rows = stored["features"] if path.suffix == ".npz" else stored
        return torch.from_numpy(np.asarray(rows, dtype=np.float32))
