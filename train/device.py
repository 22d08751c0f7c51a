"""What a run computes with: the device of its updates, and its threads."""

from __future__ import annotations

from sfv_gym.errors import SettingError

MOST_THREADS = 1024


def check_device(device: str) -> None:
    """See that torch can compute on a device before anything else is done.

    Stable-Baselines3 would take the CPU, without a word, where CUDA is asked for and missing.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, …, or ``"auto"``: CUDA where there is it.

    Raises:
        SettingError: torch knows no such device, or there is none on this machine.
    """
    if device in ("cpu", "auto"):
        return
    import torch

    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError):
        raise SettingError(f"unknown device {device!r}: give cpu, cuda, cuda:1 or auto") from None
    if kind == "cuda" and not torch.cuda.is_available():
        build = f"with CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        raise SettingError(
            f"there is no CUDA device for {device!r} here (this PyTorch is built {build}): "
            "give --device cpu"
        )
    try:
        torch.zeros(1, device=device).item()
    except Exception as error:  # each backend has its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SettingError(f"the device {device!r} cannot be used: {reason}") from None


def check_threads(threads: int) -> None:
    """Raises SettingError unless it is a number of threads."""
    if not 1 <= threads <= MOST_THREADS:
        raise SettingError(f"threads must be from 1 to {MOST_THREADS}, not {threads}")
