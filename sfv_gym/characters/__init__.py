"""Characters: a typed description of each, and its MJCF from ``assets/characters``."""

from __future__ import annotations

from sfv_gym.characters.character import ATLAS, HUMANOID, Character
from sfv_gym.errors import SettingError, UnknownIdError

CHARACTERS: dict[str, Character] = {c.name: c for c in (HUMANOID, ATLAS)}


def get_character(character: str | Character) -> Character:
    """A character, from its name or as it is.

    Raises:
        UnknownIdError: no character has that name.
        SettingError: it is neither a name nor a Character.
    """
    if isinstance(character, Character):
        return character
    if not isinstance(character, str):
        raise SettingError(f"character must be a name or a Character, not {character!r}")
    if character not in CHARACTERS:
        raise UnknownIdError(f"unknown character {character!r}; known: {', '.join(CHARACTERS)}")
    return CHARACTERS[character]


__all__ = ["CHARACTERS", "Character", "get_character"]
