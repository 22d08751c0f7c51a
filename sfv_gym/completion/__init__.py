"""From a picture to what the person may go on to do."""

from sfv_gym.completion.pipeline import complete
from sfv_gym.completion.result import Completion

__all__ = ["Completion", "complete"]
