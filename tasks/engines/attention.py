"""Attention of one new token over a cache whose heads are shared by several query heads."""

from __future__ import annotations

from typing import Any

NAME = "reelgraph_grouped"


def register() -> str:
    """Make it known to transformers; the name under which a model asks for it.

    transformers 5.17 copies the whole cache for every token, once for each query head: seven times for Qwen2-VL.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, grouped)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def grouped(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **others: Any
) -> tuple[Any, None]:
    """The query heads of one cache head go in as if they were tokens; longer inputs go the usual way.

    `query` is (rows, heads, 1, width), `key` and `value` (rows, cache heads, length, width), the mask, shared by all
    heads, (rows, 1, 1, length). Returns (rows, 1, heads, width).
    """
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, tokens, width = query.shape
    if tokens != 1 or heads == key.shape[1]:
        usual: tuple[Any, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
        return usual
    together = query.reshape(rows, key.shape[1], heads // key.shape[1], width)
    seen = scaled_dot_product_attention(together, key, value, attn_mask=attention_mask, scale=scaling)
    return seen.reshape(rows, 1, heads, width), None
