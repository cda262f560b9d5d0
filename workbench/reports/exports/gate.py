"""The blind gate of an export, and the report on an export of true captions only, as JSON and as lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curation_db.exporting.blind_gate import (
    GateResult,
    HardNegatives,
    TextReport,
    TraitShares,
    check_gate,
    decided_texts,
    hard_negatives,
    text_report,
)
from curation_db.exporting.manifest import read_items
from curation_db.language.sanitize import display_text
from curation_db.stats.targets import resolve_target
from curation_db.storage.store import open_read_only
from workbench.console.progress_bars import step_bars
from workbench.errors import ExitCode, NegwbError

if TYPE_CHECKING:
    from curation_db.stats.intervals import Interval
    from curation_db.trust.blind_classifier import BlindResult, TextBias
    from workbench.workspace.layout import Workspace
    from workbench.workspace.settings.settings import Settings

_SHOWN: Final = 4
_FAR: Final = 0.1
"""Distance from a target that is worth a line."""


class GateFailed(NegwbError):
    """The text of the set gives its true captions away."""

    exit_code = ExitCode.FAILED


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """At most one of both is not None."""

    gate: GateResult | None
    report: TextReport | None

    @property
    def passes(self) -> bool:
        return self.gate is None or self.gate.passes


def check_export(workspace: Workspace, settings: Settings, folder: Path) -> ExportCheck:
    """Check the export in `folder`, which may be a partial one, and show bars meanwhile."""
    negatives = hard_negatives(read_items(folder))
    if negatives.pairs:
        return check_pairs(settings, negatives)
    with step_bars(lines=True) as bars:
        targets = {trait: resolve_target(trait, each) for trait, each in settings.targets.items()}
        with open_read_only(workspace.database) as store, store.read() as connection:
            decided = decided_texts(connection)
        report = text_report(
            read_items(folder), targets, decided, progress=lambda *at: bars("accept by text alone", *at)
        )
        return ExportCheck(None, report)


def check_pairs(settings: Settings, negatives: HardNegatives) -> ExportCheck:
    """Check the pairs of a derived set, and show a bar meanwhile."""
    if not negatives.pairs:
        return ExportCheck(None, None)
    with step_bars(lines=True) as bars:
        limit = settings.export.blind_limit
        return ExportCheck(check_gate(negatives, limit, progress=lambda *at: bars("blind gate", *at)), None)


def refuse(check: ExportCheck) -> None:
    """Raise `GateFailed` unless the check passes."""
    if not check.passes:
        verdict, *figures = check_lines(check)
        raise GateFailed(f"nothing was written: {verdict.removeprefix('warning: ')}", hint="; ".join(figures))


def check_json(check: ExportCheck) -> dict[str, Any]:
    """Return `gate` and `text_report`, one of which is null."""
    return {
        "gate": None if check.gate is None else gate_json(check.gate),
        "text_report": None if check.report is None else _report_json(check.report),
    }


def gate_json(gate: GateResult) -> dict[str, Any]:
    return {
        "passes": gate.passes,
        "limit": gate.limit,
        "forward": gate.forward,
        "reverse": gate.reverse,
        "sampled": gate.sampled,
        **_blind_json(gate.blind),
        "balanced": None if gate.balanced is None else _blind_json(gate.balanced),
    }


def _blind_json(blind: BlindResult) -> dict[str, Any]:
    accuracy = blind.accuracy
    return {
        "pairs": blind.pairs,
        "images": blind.images,
        "accuracy": None if math.isnan(accuracy.estimate) else accuracy.estimate,
        "accuracy_90": [accuracy.low, accuracy.high],
        "habits": [list(each) for each in blind.habits],
    }


def _report_json(report: TextReport) -> dict[str, Any]:
    return {
        "pairs": report.pairs,
        **{
            name: {"shares": dict(each.shares), "target": dict(each.target), "distance": each.distance}
            for name, each in report.traits.items()
        },
        "top_concept": report.concept,
        "top_concept_share": report.concept_share,
        "accept_by_text": None if report.bias is None else _bias_json(report.bias, report.sampled),
    }


def _bias_json(bias: TextBias, sampled: bool) -> dict[str, Any]:
    found = bias.discrimination
    return {
        "accepted": bias.accepted,
        "rejected": bias.rejected,
        "sampled": sampled,
        "discrimination": found.estimate,
        "discrimination_95": [found.low, found.high],
        "habits": [list(each) for each in bias.habits],
    }


def check_lines(check: ExportCheck) -> list[str]:
    """Return the figures as lines of text; the first one is the verdict."""
    if check.gate is not None:
        return _gate_lines(check.gate)
    return [] if check.report is None else _report_lines(check.report)


def _gate_lines(gate: GateResult) -> list[str]:
    sampled = f", a sample of {gate.blind.pairs:,}" if gate.sampled else ""
    shown = f"{_digits(gate.blind.accuracy.estimate)}, at most {_digits(gate.blind.accuracy.high)} at 95 %"
    pairs = f"{gate.forward:,} pairs with a true negated caption, {gate.reverse:,} with a false one{sampled}"
    lines = [
        f"{'' if gate.passes else 'warning: '}blind accuracy {shown}; the limit is {_digits(gate.limit)}: "
        + ("the text alone does not give the true caption away" if gate.passes else "the text gives it away"),
        pairs,
    ]
    if gate.passes:
        return lines
    lines.append(f"habits of true captions: {_habits(gate.blind.habits, 1)}")
    lines.append(f"habits of false captions: {_habits(gate.blind.habits, -1)}")
    if gate.balanced is not None:
        even = gate.balanced
        lines.append(
            f"with {even.pairs // 2:,} pairs of each kind it would be {_digits(even.accuracy.estimate)}, at most"
            f" {_digits(even.accuracy.high)}"
        )
    elif not gate.reverse:
        lines.append(
            "pairs with a false negated caption balance it: --state accepted --state rejected --reason present"
        )
    return lines


def _habits(habits: tuple[tuple[str, float], ...], sign: int) -> str:
    names = [f'"{display_text(name, limit=60)}"' for name, weight in habits if weight * sign > 0]
    return ", ".join(names) or "none"


def _report_lines(report: TextReport) -> list[str]:
    lines = [f"{name}: {_shares(each)}" for name, each in report.traits.items() if each.target and each.distance > _FAR]
    if report.concept is not None and report.concept_share > _FAR:
        concept = display_text(report.concept, limit=60)
        lines.append(f'{report.concept_share:.0%} of the pairs deny one concept: "{concept}"')
    if report.bias is not None:
        lines.append(_bias_line(report.bias, report.sampled))
    return lines


def _shares(trait: TraitShares) -> str:
    values = sorted(trait.target.keys() | trait.shares.keys(), key=lambda each: (-trait.shares.get(each, 0.0), each))
    shown = [
        f"{display_text(each, limit=40)} {trait.shares.get(each, 0.0):.0%} ({trait.target.get(each, 0.0):.0%})"
        for each in values[:_SHOWN]
    ]
    return f"{', '.join(shown)}; in brackets the target; {trait.distance:.0%} of the pairs would have to change"


def _bias_line(bias: TextBias, sampled: bool) -> str:
    found: Interval = bias.discrimination
    of = f"{bias.accepted:,} accepted and {bias.rejected:,} rejected texts{', sampled' if sampled else ''}"
    limits = f"{_digits(found.low)}–{_digits(found.high)}"
    return (
        f"the text alone predicts accept with a discrimination of {_digits(found.estimate)} ({limits}; {of}; .5: none)"
    )


def _digits(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"
