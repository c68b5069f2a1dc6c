"""The one way in which weights are found, checked, loaded, named, sized and quantised."""

from dataclasses import dataclass
from enum import Enum


class Precision(str, Enum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    int8 = "int8"
    int4 = "int4"


QUANTISED = (Precision.int8, Precision.int4)


@dataclass
class WeightsConfig:
    """A model with weights. Specialists without any (playroom, captions, mock) read none of this."""

    model: str = ""
    """Local folder or hub id, in the architecture's own format (safetensors)."""
    precision: Precision = Precision.auto
    """auto: bfloat16 on a GPU, float32 on a CPU. int8 and int4 want a GPU and the extra `bits`."""
    batch: int = 8
    """Pictures or prompts that go through it at once; the findings do not depend on it."""
    url: str = ""
    """Where it is, if not in this process: the file that `aotd serve` writes, RUN/servers/NAME.json (server: or an
    address)."""
