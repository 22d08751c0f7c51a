"""``sfv learn``: the whole road from a clip to a character that does the same."""

from sfv_gym.train.learn.pipeline import learn
from sfv_gym.train.learn.result import Learned

__all__ = ["Learned", "learn"]
