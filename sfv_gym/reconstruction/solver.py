"""Many variables, one number: L-BFGS-B from SciPy over named torch tensors with bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize

from sfv_gym.errors import MotionError
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

    Raises:
        MotionError: the objective is not finite any more.
    """
    names = list(start)
    shapes = [tuple(start[n].shape) for n in names]
    sizes = [start[n].numel() for n in names]
    unit = np.concatenate(
        [np.full(s, scales.get(n, 1.0)) for n, s in zip(names, sizes, strict=True)]
    )
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
        value.backward()
        assert point.grad is not None
        return float(value.detach()), point.grad.numpy()

    # The tensors are small: beside another busy process, more threads only wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        x, value = _descend(evaluate, np.clip(x0, low, high), low, high, iterations, callback)
    finally:
        torch.set_num_threads(threads)
    best = torch.as_tensor(x * unit, dtype=DTYPE)
    return unpack(best), value


def _descend(
    evaluate: Callable[[np.ndarray], tuple[float, np.ndarray]],
    x: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    iterations: int,
    callback: Callable[[], None] | None,
) -> tuple[np.ndarray, float]:
    """The least point and value that ``iterations`` steps within the bounds reach from ``x``."""
    # With bounds the line search gives up now and then: go on from there with a fresh memory.
    value, left = np.inf, iterations
    while left > 0:
        result = minimize(
            evaluate,
            x,
            jac=True,
            method="L-BFGS-B",
            bounds=np.stack((low, high), axis=1),
            callback=(lambda _: callback()) if callback else None,
            options={"maxiter": left, "maxfun": 2 * left, "maxcor": 60, "ftol": 1e-9},
        )
        if not np.isfinite(result.fun):
            raise MotionError("the fit diverged on this clip; try a shorter range of it")
        gained = value - float(result.fun)
        x, value, left = np.asarray(result.x), float(result.fun), left - max(int(result.nit), 10)
        if gained < 1e-4 * abs(value):
            break
    return x, value
