"""How ``rliable.json`` was made: with rliable 1.2.0, in an environment of its own.

rliable hands its bootstraps a keyword ``random_state`` that arch has dropped since; they are made
to take it here. It also draws from NumPy's global generator, which is why that is seeded.

    pip install rliable==1.2.0 arch==7.2.0 && python tests/data/rliable_values.py
"""

import json
from pathlib import Path
from typing import Any

import arch.bootstrap
import numpy as np

for kind in (arch.bootstrap.IIDBootstrap, arch.bootstrap.IndependentSamplesBootstrap):

    def patched(
        self: Any, *data: Any, random_state: Any = None, _init: Any = kind.__init__, **named: Any
    ) -> None:
        _init(self, *data, **named)

    kind.__init__ = patched

from rliable import library, metrics  # noqa: E402

NAMES = ("iqm", "mean", "median", "optimality_gap")


def main() -> None:
    rng = np.random.default_rng(7)
    ours = np.round(np.clip(rng.normal([0.3, 0.5, 0.7, 0.9], 0.15, (6, 4)), 0, 1.2), 3)
    theirs = np.round(np.clip(rng.normal([0.3, 0.45, 0.6, 0.9], 0.1, (5, 4)), 0, 1.2), 3)
    theirs[0, 0] = ours[0, 0]
    thresholds = np.linspace(0, 1, 11)
    np.random.seed(0)  # noqa: NPY002
    point, interval = library.get_interval_estimates(
        {"ours": ours},
        lambda x: np.array([getattr(metrics, f"aggregate_{name}")(x) for name in NAMES]),
        reps=50_000,
    )
    profile, profile_interval = library.create_performance_profile(
        {"ours": ours}, thresholds, reps=20_000
    )
    better, better_interval = library.get_interval_estimates(
        {"pair": [ours, theirs]},
        lambda x, y: np.array([metrics.probability_of_improvement(x, y)]),
        reps=20_000,
    )
    values = {
        "made_by": "tests/data/rliable_values.py",
        "ours": ours.tolist(),
        "theirs": theirs.tolist(),
        "thresholds": thresholds.round(1).tolist(),
        "values": dict(zip(NAMES, point["ours"].tolist(), strict=True)),
        "intervals": dict(zip(NAMES, interval["ours"].T.tolist(), strict=True)),
        "profile": profile["ours"].tolist(),
        "profile_intervals": profile_interval["ours"].T.tolist(),
        "probability_of_improvement": float(better["pair"][0]),
        "probability_of_improvement_interval": better_interval["pair"][:, 0].tolist(),
    }
    path = Path(__file__).with_name("rliable.json")
    path.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
