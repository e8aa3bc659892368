"""openai-whisper's checkpoint, made of the same model in CTranslate2's format.

No package carries OpenAI's `.pt` files. The Whisper that `reelgraph models pull` brings has their tensors under other
names, and queries, keys and values of one attention in one linear layer. The file's layout is told by CTranslate2's
`specs/model_spec.py`, its names by `specs/whisper_spec.py`, the others by openai-whisper's `model.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import BadInput

Tensor = NDArray[np.generic]

LAYOUT = 6
MODEL = ("WhisperSpec", 3)
"""Name and revision of the only names and shapes that are known here."""
TYPES = ("float32", "int8", "int16", "int32", "float16")
"""By CTranslate2's number of the type; bfloat16, the sixth, is none of numpy's."""

AS_IN_WHISPER = {
    "decoder/activation": 3,  # GELU, openai-whisper's only one
    "decoder/alibi": 0,
    "decoder/alibi_use_positive_positions": 0,
    "decoder/alignment_heads": 1,
    "decoder/alignment_layer": -1,
    "decoder/pre_norm": 1,
    "decoder/scale_alibi": 0,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
"""How a decoder of CTranslate2 is built where it is Whisper's; older files lack some that are 0.

The alignment is of an attention that CTranslate2 returns on demand.
"""

PLACES = {
    "encoder/conv1": ("encoder.conv1",),
    "encoder/conv2": ("encoder.conv2",),
    "encoder/layer_norm": ("encoder.ln_post",),
    "decoder/embeddings": ("decoder.token_embedding",),
    "decoder/layer_norm": ("decoder.ln",),
}
LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)/(.+)")
IN_A_LAYER = {
    "self_attention/layer_norm": ("attn_ln",),
    "self_attention/linear_0": ("attn.query", "attn.key", "attn.value"),
    "self_attention/linear_1": ("attn.out",),
    "attention/layer_norm": ("cross_attn_ln",),
    "attention/linear_0": ("cross_attn.query",),
    "attention/linear_1": ("cross_attn.key", "cross_attn.value"),
    "attention/linear_2": ("cross_attn.out",),
    "ffn/layer_norm": ("mlp_ln",),
    "ffn/linear_0": ("mlp.0",),
    "ffn/linear_1": ("mlp.2",),
}
PARTS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
POSITIONS = {f"{side}/position_encodings/encodings": f"{side}.positional_embedding" for side in ("encoder", "decoder")}


@dataclass(slots=True)
class _Reader:
    """Goes through the bytes of a file and refuses to go past their end."""

    path: Path
    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise BadInput(f"{self.path.name} is cut off: {len(self.data)} bytes are not all of it", code="truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, kind: str) -> int:
        layout = Struct(f"<{kind}")
        return int(layout.unpack(self.take(layout.size))[0])

    def word(self) -> str:
        # with the zero at its end counted; of other letters no name is known
        return self.take(self.number("H"))[:-1].decode("ascii", "replace")

    def tensor(self, name: str) -> Tensor:
        shape = [self.number("I") for _ in range(self.number("B"))]
        kind, data = self.number("B"), self.take(self.number("I"))
        if kind >= len(TYPES):
            raise BadInput(f"{name} in {self.path.name} is none of {', '.join(TYPES)}")
        numbers = np.dtype(TYPES[kind]).newbyteorder("<")
        if len(data) != prod(shape) * numbers.itemsize:
            raise BadInput(f"{name} in {self.path.name} has {len(data)} bytes, which are not {shape} of {TYPES[kind]}")
        return np.frombuffer(data, numbers, prod(shape)).reshape(shape)


def read(path: Path) -> dict[str, Tensor]:
    """All tensors of a Whisper in CTranslate2's `model.bin` by their names there, aliases among them.

    Raises:
        BadInput: the file is cut off, of another model or layout, or not as its own counts say.
    """
    reader = _Reader(path, path.read_bytes())
    if (layout := reader.number("I")) != LAYOUT:
        raise BadInput(f"{path.name} is not CTranslate2's layout {LAYOUT}: it begins with {layout}")
    if (model := (reader.word(), reader.number("I"))) != MODEL:
        raise BadInput(f"{path.name} is a {model[0]} of revision {model[1]}, not a {MODEL[0]} of revision {MODEL[1]}")
    tensors: dict[str, Tensor] = {}
    for _ in range(reader.number("I")):
        name = reader.word()
        tensors[name] = reader.tensor(name)
    for _ in range(reader.number("I")):
        alias, name = reader.word(), reader.word()
        if name not in tensors:
            raise BadInput(f"{alias} in {path.name} stands for {name}, which is not there")
        tensors[alias] = tensors[name]
    if left := len(reader.data) - reader.at:
        raise BadInput(f"{path.name} goes on for {left} bytes after its end")
    return tensors


def places(name: str) -> tuple[str, ...]:
    """openai-whisper's names of what CTranslate2 has under one name, first rows first; none if it has no such thing."""
    if name in POSITIONS:
        return (POSITIONS[name],)
    scope, _, part = name.rpartition("/")
    found: tuple[str, ...] = PLACES.get(scope, ())
    if layer := LAYER.fullmatch(scope):
        side, number, inner = layer.groups()
        found = tuple(f"{side}.blocks.{number}.{place}" for place in IN_A_LAYER.get(inner, ()))
    return tuple(f"{place}.{PARTS[part]}" for place in found) if part in PARTS else ()


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by openai-whisper's names, those that were fused apart.

    Raises:
        BadInput: one has no place there, or says something of the model that is not so there.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        there = places(name)
        if not there:
            raise BadInput(f"openai-whisper's model has no place for {name}")
        for place, rows in zip(there, np.array_split(tensor, len(there)), strict=True):
            if not place.endswith(".key.bias"):
                state[place] = rows
            elif rows.any():  # fused, the keys' missing bias is zeros
                raise BadInput(f"{name} moves the keys, which openai-whisper's model cannot")
    return state


def converted(tensors: Mapping[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Sizes and state of openai-whisper's model, from all tensors of CTranslate2's.

    Raises:
        BadInput: a tensor has no place there, or says something of the model that is not so there.
        KeyError, IndexError: one that tells a size is not there, or has not that many dimensions.
    """
    rest = dict(tensors)
    for name, wanted in AS_IN_WHISPER.items():
        if not np.array_equal(found := rest.pop(name, 0), wanted):
            raise BadInput(f"{name} is {found}, and {wanted} in openai-whisper's model")
    heads = {side: int(rest.pop(f"{side}/num_heads")) for side in ("encoder", "decoder")}
    if not np.array_equal(rest.pop("decoder/projection/weight"), rest["decoder/embeddings/weight"]):
        raise BadInput("decoder/projection/weight is not the embedding, which it is in openai-whisper's model")
    state = renamed(rest)
    sizes = {"n_mels": state["encoder.conv1.weight"].shape[1]}
    for side, theirs in (("encoder", "audio"), ("decoder", "text")):
        context, width = (state[f"{side}.positional_embedding"].shape[axis] for axis in (0, 1))
        layers = {name.split(".")[2] for name in state if name.startswith(f"{side}.blocks.")}
        sizes |= {f"n_{theirs}_ctx": context, f"n_{theirs}_state": width}
        sizes |= {f"n_{theirs}_head": heads[side], f"n_{theirs}_layer": len(layers)}
    return sizes | {"n_vocab": state["decoder.token_embedding.weight"].shape[0]}, state


def write(model: Path, checkpoint: Path) -> Path:
    """Make a checkpoint of a `model.bin`; returns its path. Every tensor has its place in openai-whisper's own model.

    Raises:
        BadInput: the file is cut off, or its tensors are not exactly those of a Whisper.
    """
    import torch
    from whisper.model import ModelDimensions, Whisper

    tensors = read(model)
    try:
        sizes, arrays = converted(tensors)
        state: dict[str, Any] = {name: torch.tensor(array) for name, array in arrays.items()}
        Whisper(ModelDimensions(**sizes)).load_state_dict(state, strict=True)
    except (KeyError, IndexError, RuntimeError) as error:
        raise BadInput(f"the tensors of {model.name} are not those of a Whisper: {error}") from error
    torch.save({"dims": sizes, "model_state_dict": state}, checkpoint)
    return checkpoint
