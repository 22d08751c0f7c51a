"""Could a simulated character do a motion? Inverse dynamics of it, figures, a report."""

from sfv_gym.assessment.dynamics import assess
from sfv_gym.assessment.figures import FIGURES, Imitability

__all__ = ["FIGURES", "Imitability", "assess"]
