"""Skills that one picture cannot tell apart."""

from __future__ import annotations

KIN = (
    ("walk", "walk_b", "walk_turn", "walk_backwards"),
    ("run", "jog"),
    ("stealthy_walk", "stealthy_turn"),
    ("crawl", "crawl_backwards"),
    ("jump", "jump_backwards"),
    ("backflip", "frontflip_ground"),
    ("get_up_face_up", "lie_down_face_up"),
    ("get_up_face_down", "lie_down_face_down"),
    ("balance", "balance_b"),
)
"""Skills that differ in the direction of time, in speed, in a turn, or in who does them."""


def kin(skill: str) -> tuple[str, ...]:
    """The skills that a picture cannot tell from this one, itself among them."""
    return next((group for group in KIN if skill in group), (skill,))
