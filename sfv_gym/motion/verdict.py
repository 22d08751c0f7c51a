"""What a reconstruction is worth, in words that stay with the motion."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sfv_gym.files import JSON

GOOD, DOUBTFUL, BAD = "good", "doubtful", "bad"
NOTE = "note"
SEVERITIES = (NOTE, DOUBTFUL, BAD)
"""Of findings; one that is a mere note leaves a motion good."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found out about a reconstruction.

    Attributes:
        severity: ``"note"``, ``"doubtful"`` or ``"bad"``.
        reason: a sentence: what was found, and where it can be mended, how.
        part: of the body, such as ``"left leg"``; empty for all of it.
        seconds: of the motion, from and to; None for all of it.
    """

    severity: str
    reason: str
    part: str = ""
    seconds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(
                f"a finding's severity is one of {', '.join(SEVERITIES)}, not {self.severity!r}"
            )

    def __str__(self) -> str:
        return _line(self.part, self.reason, [] if self.seconds is None else [self.seconds])


@dataclass(frozen=True)
class Verdict:
    """What the findings come to.

    Attributes:
        findings: the worst first.
    """

    findings: tuple[Finding, ...] = ()

    @property
    def grade(self) -> str:
        """``"good"``, ``"doubtful"`` or ``"bad"``, by the worst finding."""
        worst = max((f.severity for f in self.findings), key=SEVERITIES.index, default=NOTE)
        return GOOD if worst == NOTE else worst

    def lines(self) -> list[tuple[str, str]]:
        """Severity and text of the findings, one for all times at which the same was found."""
        alike: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
        for one in self.findings:
            times = alike.setdefault((one.severity, one.part, one.reason), [])
            times += [] if one.seconds is None else [one.seconds]
        return [(key[0], _line(*key[1:], times)) for key, times in alike.items()]

    def as_dict(self) -> JSON:
        """``grade`` and ``findings``, each with the names of its fields."""
        return {"grade": self.grade, "findings": [asdict(finding) for finding in self.findings]}

    def to_json(self) -> str:
        """As a motion file holds it."""
        return json.dumps(self.as_dict()["findings"])

    def __str__(self) -> str:
        return "; ".join([self.grade, *(text for _, text in self.lines())])

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Read what ``to_json`` wrote; raises ValueError where it is none."""
        try:
            entries = json.loads(text)
        except RecursionError:
            raise ValueError("a verdict that is nested too deeply") from None
        if not isinstance(entries, list):
            raise ValueError("a verdict is a list of findings")
        findings = []
        for entry in entries:
            if not isinstance(entry, dict) or set(entry) != set(Finding.__dataclass_fields__):
                raise ValueError(f"not a finding: {entry!r:.80}")
            seconds = entry["seconds"]
            findings.append(
                Finding(
                    str(entry["severity"]),
                    str(entry["reason"]),
                    str(entry["part"]),
                    None if seconds is None else (float(seconds[0]), float(seconds[1])),
                )
            )
        return cls(tuple(findings))


def _line(part: str, reason: str, times: list[tuple[float, float]]) -> str:
    where = [part] if part else []
    where += ["{:.2f}-{:.2f}".format(*time) for time in times]
    return (", ".join(where) + (" s" if times else "") + ": " if where else "") + reason
