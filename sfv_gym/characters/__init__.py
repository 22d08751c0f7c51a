"""Characters: a typed description of each, and its MJCF from ``assets/characters``."""

from __future__ import annotations

from sfv_gym.characters.character import ATLAS, HUMANOID, Character
from sfv_gym.errors import UnknownIdError

CHARACTERS: dict[str, Character] = {c.name: c for c in (HUMANOID, ATLAS)}


def get_character(name: str) -> Character:
    """The character called ``name``; raises UnknownIdError with the known names."""
    if name not in CHARACTERS:
        raise UnknownIdError(f"unknown character {name!r}; known: {', '.join(CHARACTERS)}")
    return CHARACTERS[name]


__all__ = ["CHARACTERS", "Character", "get_character"]
