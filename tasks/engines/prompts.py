"""Text of a user's that a model is asked with: what it would not take for text is refused before it is asked."""

from __future__ import annotations

from typing import Any

from shared.errors import BadInput


class PromptRefused(BadInput):
    """A text that the model cannot be given: too long, or with tokens that mean something to it."""

    code = "bad_prompt"


def refuse_marks(tokenizer: Any, text: str, entry: str, *, name: str = "the prompt") -> None:
    """Refuse a text that holds the marks of pictures, turns and ends: the model would take them for such.

    Raises:
        PromptRefused: it holds one; the message says which, and calls the text by its name.
    """
    own = set(tokenizer.get_added_vocab().values()) | set(tokenizer.all_special_ids)
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = [tokenizer.convert_ids_to_tokens(token) for token in tokens if token in own]
    # OWLv2 pads with "!", which is text as well
    if marks := [mark for mark in found if any(map(str.isalnum, mark))]:
        raise PromptRefused(f"{name} holds {marks[0]}, which is no text for {entry}: leave it out")
