"""Tokenizers that a tiny model needs: byte-level BPE, trained on a few sentences."""

from __future__ import annotations

import math
from typing import Any

SENTENCES = [
    "a man rides a bicycle down the street while a dog runs along the side walk",
    "describe this video in detail . the rabbit walks out of the cave and looks at the sky",
    "user assistant system you are a helpful assistant what is shown in the image ?",
] * 50


def byte_pairs(special: list[str], size: int = 600, **roles: str) -> Any:
    """A fast tokenizer of about `size` tokens; `roles` such as `eos_token` name some of the special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)
    fast.add_special_tokens({"additional_special_tokens": special})
    return fast


def vocabulary(tokenizer: Any) -> int:
    """Rows of an embedding for all its tokens, a multiple of eight."""
    return math.ceil((max(tokenizer.get_vocab().values()) + 1) / 8) * 8
