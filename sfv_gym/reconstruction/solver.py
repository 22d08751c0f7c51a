"""Many variables, one number: L-BFGS-B from SciPy over named torch tensors with bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize

from sfv_gym.reconstruction.body import DTYPE

Variables = dict[str, torch.Tensor]


def solve(
    objective: Callable[[Variables], torch.Tensor],
    start: Variables,
    *,
    bounds: dict[str, tuple[np.ndarray, np.ndarray]],
    scales: dict[str, float],
    iterations: int,
    callback: Callable[[], None] | None = None,
) -> tuple[Variables, float]:
    """Minimise ``objective`` from ``start``.

    Args:
        bounds: lower and upper bound for some of the variables, broadcast to their shapes.
        scales: typical change of some variables; the solver works in units of it.
        iterations: at most.

    Returns:
        the best variables (detached) and the objective there.
    """
    names = list(start)
    shapes = [tuple(start[n].shape) for n in names]
    sizes = [start[n].numel() for n in names]
    unit = np.concatenate([np.full(s, scales.get(n, 1.0)) for n, s in zip(names, sizes, strict=True)])
    x0 = np.concatenate([start[n].detach().numpy().ravel() for n in names]) / unit
    low, high = np.full(len(x0), -np.inf), np.full(len(x0), np.inf)
    offset = 0
    for name, shape, size in zip(names, shapes, sizes, strict=True):
        if name in bounds:
            low[offset : offset + size] = np.broadcast_to(bounds[name][0], shape).ravel()
            high[offset : offset + size] = np.broadcast_to(bounds[name][1], shape).ravel()
        offset += size
    low, high = low / unit, high / unit

    def unpack(x: torch.Tensor) -> Variables:
        parts = torch.split(x, sizes)
        return {n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)}

    steps = torch.as_tensor(unit, dtype=DTYPE)

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.tensor(x, dtype=DTYPE, requires_grad=True)
        value = objective(unpack(point * steps))
        value.backward()  # type: ignore[no-untyped-call]
        assert point.grad is not None
        return float(value.detach()), point.grad.numpy()

    result = minimize(
        evaluate,
        np.clip(x0, low, high),
        jac=True,
        method="L-BFGS-B",
        bounds=np.stack((low, high), axis=1),
        callback=(lambda _: callback()) if callback else None,
        options={"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 1e-7},
    )
    best = torch.as_tensor(np.asarray(result.x) * unit, dtype=DTYPE)
    return unpack(best), float(result.fun)
