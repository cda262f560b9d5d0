"""Tokens of a model's vocabulary that begin a yes or a no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

YES: Final = frozenset({"y", "ye", "yes"})
NO: Final = frozenset({"n", "no"})


def yes_no_token_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the IDs of all tokens whose text, stripped and in lower case, is a prefix of "yes", and of "no"."""
    special = set(tokenizer.all_special_ids)
    ids: tuple[list[int], list[int]] = ([], [])
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        letters = "".join(letter for letter in token.lower() if "a" <= letter <= "z")  # most need no decoding
        if number in special or letters not in YES | NO:
            continue
        text = str(tokenizer.decode([number])).strip().lower()
        if text in YES:
            ids[0].append(number)
        elif text in NO:
            ids[1].append(number)
    return ids
