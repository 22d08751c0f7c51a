"""Terrains: each adds its geoms to a model and answers how high the ground is."""

from __future__ import annotations

from sfv_gym.errors import UnknownIdError
from sfv_gym.terrains.flat import Flat

Terrain = Flat

TERRAINS: dict[str, type[Flat]] = {"flat": Flat}


def get_terrain(name: str) -> Terrain:
    """The terrain called ``name``; raises UnknownIdError with the known names."""
    if name not in TERRAINS:
        raise UnknownIdError(f"unknown terrain {name!r}; known: {', '.join(TERRAINS)}")
    return TERRAINS[name]()


__all__ = ["TERRAINS", "Flat", "Terrain", "get_terrain"]
