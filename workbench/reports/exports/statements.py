"""Sentences about a frozen export that its record proves, as plain text; the Croissant metadata and the methods
paragraph share them. Pure functions. A statement about something that the record does not contain is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from curation_db.exporting.selection import Omission
from curation_db.language.sanitize import counted
from workbench.reports.exports.summary import selection_conditions

if TYPE_CHECKING:
    from curation_db.exporting.manifest import Manifest
    from curation_db.stats.agreement import Agreement
    from curation_db.stats.intervals import Interval
    from workbench.reports.exports.summary import ExportSummary, JudgeUse, PolicyUse


def interval_text(interval: Interval) -> str:
    """Return "0.91 [0.88, 0.94]"; an undefined estimate or limit is named as such."""
    if math.isnan(interval.estimate):
        return "undefined"
    if math.isnan(interval.low) or math.isnan(interval.high):
        return f"{interval.estimate:.2f} (interval undefined)"
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def content(summary: ExportSummary) -> str:
    manifest = summary.manifest
    return (
        f"The export {manifest.name} has {counted(manifest.counts.pairs, 'pair')} of an image and a negated caption, of"
        f" {counted(manifest.counts.images, 'image')}. It was frozen by negwb {manifest.tool_version} from the record"
        f" as of event {manifest.event_seq} (export_sha256 {manifest.export_sha256})."
    )


def selection(summary: ExportSummary) -> str:
    """Return from what and how the export was selected, and how many candidates each condition left out."""
    return (
        f"The export was selected from {counted(summary.candidates, 'candidate')} of"
        f" {counted(summary.candidate_images, 'image')}: {'; '.join(selection_conditions(summary.manifest.selection))}."
        + _left_out(summary.manifest)
    )


OTHER_STATE: Final = "in another state"
_OMITTED: Final[Mapping[str, str]] = {
    Omission.STATE: OTHER_STATE,
    Omission.EDIT: "edited",
    Omission.BENCHMARK_REVIEW: "reviews of a benchmark",
    Omission.BENCHMARK_IMAGE: "on images of benchmarks",
    Omission.HASTY: "with a hasty decision",
    Omission.POLICY: "accepted by a policy alone",
    Omission.REASON: "rejected for another reason",
    Omission.DECIDER: "decided by others",
    Omission.VOTES: "with too few votes",
    Omission.AGREEMENT: "with too little agreement",
    Omission.QUERY: "not matched by the query",
}


def omitted(manifest: Manifest) -> dict[str, int]:
    """Return the numbers of candidates that the export leaves out, by the reason in words."""
    return {_OMITTED.get(why, why): count for why, count in manifest.left_out.items()}


def _left_out(manifest: Manifest) -> str:
    found = ", ".join(f"{count:,} {text}" for text, count in omitted(manifest).items())
    return f" Candidates that it leaves out: {found}." if found else ""


def benchmarks(summary: ExportSummary) -> list[str]:
    """Return which benchmarks' images the export leaves out."""
    tasks = summary.manifest.benchmarks
    if not tasks:
        return ["Images of benchmarks were not searched for in the export."]
    known = {name: count for name, count in tasks.items() if count is not None}
    shared = ", ".join(f"{name} {count:,}" for name, count in known.items() if count) or "none"
    sentence = f"Images of the record that the export leaves out, by benchmark task ({len(known):,} known): {shared}."
    unknown = len(tasks) - len(known)
    more = f"The images of {counted(unknown, 'registered benchmark task')} are not known: their files were missing."
    return [sentence, *([more] if unknown else [])]


def gate(summary: ExportSummary) -> str:
    """Return whether the text alone gives the true captions away."""
    result = summary.gate
    if result is None:
        return (
            "The set has true captions only. False captions that are derived from it (export-as --hard-negatives) are"
            " affirmative, so a model can tell them by the text alone."
        )
    accuracy = result.blind.accuracy
    sample = f", on a sample of {result.blind.pairs:,}" if result.sampled else ""
    return (
        f"A classifier of the text alone picks the true caption of {result.forward + result.reverse:,} pairs{sample},"
        f" with an accuracy of {accuracy.estimate:.2f} (upper 95 % bound {accuracy.high:.2f}; limit"
        f" {result.limit:.2f}): {'passed' if result.passes else 'failed'}."
    )


def annotation(summary: ExportSummary) -> str:
    """Return the numbers of annotators and votes; "" without any vote."""
    if not summary.annotators:
        return ""
    parts = {
        "accept": sum(each.accepts for each in summary.annotators),
        "reject": sum(each.rejects for each in summary.annotators),
        "unsure": sum(each.unsures for each in summary.annotators),
    }
    votes = ", ".join(f"{number:,} {name}" for name, number in parts.items())
    adjudicated = f" {counted(summary.adjudicated, 'candidate')} had an adjudication." if summary.adjudicated else ""
    return (
        f"{counted(len(summary.annotators), 'annotator')} gave {counted(sum(parts.values()), 'vote')} in force"
        f" ({votes}) on {counted(summary.voted, 'candidate')}.{adjudicated}"
    )


def votes_per_pair(summary: ExportSummary) -> str:
    parts = (
        f"{counted(pairs, 'pair')} with {counted(votes, 'vote')}" for votes, pairs in summary.votes_per_pair.items()
    )
    return f"Accepts and rejects per pair of the export: {', '.join(parts)}."


def agreement(summary: ExportSummary) -> str:
    known = summary.agreement
    if not known.items:
        return "No candidate has two accepts or rejects, so the agreement of annotators is not known."
    return f"On {_agreement(known)}."


def audit(summary: ExportSummary) -> str:
    """Return the facts of the audit set; "" if the record has none."""
    if not summary.audit.candidates:
        return ""
    rates = " or ".join(f"{100 * rate:.1f} %" for rate in summary.audit.rates if rate)
    known = summary.audit.agreement
    agreed = f" Among the blind labels, on {_agreement(known)}." if known.items else ""
    return (
        f"A random audit set of {counted(summary.audit.candidates, 'candidate')} was drawn when the candidates were"
        f" created, with the probability {rates}; {summary.audit.labelled:,} of them were labelled without sight of"
        f" the judges.{agreed}"
    )


def _agreement(known: Agreement) -> str:
    return (
        f"{counted(known.items, 'candidate')} with two or more accepts or rejects the observed agreement is"
        f" {interval_text(known.observed)}, Gwet's AC1 {interval_text(known.ac1)} and Krippendorff's alpha"
        f" {interval_text(known.alpha)} (95 % bootstrap intervals, clustered by image)"
    )


def judge(use: JudgeUse) -> str:
    method = f", by {use.method}" if use.method else ""
    simulated = " (simulated)" if use.simulated else ""
    return (
        f"Judge {use.judge}{simulated}: model {use.model}, prompt {use.prompt_version}, question {use.question}"
        f"{method}; {counted(use.verdicts, 'verdict')} on pairs of the export."
    )


def generators(summary: ExportSummary) -> list[str]:
    """Return one sentence for each combination of generator, prompt version and cue mix."""
    sentences = []
    for each in summary.made_with:
        prompt = f", prompt {each['prompt_version']}" if each.get("prompt_version") else ""
        mix = f", cue mix {each['mix']}" if each.get("mix") else ""
        generator = each.get("generator") or "not known"
        sentences.append(f"Proposed by {generator}{prompt}{mix}: {counted(int(each['pairs']), 'pair')}.")
    return sentences


def policy(use: PolicyUse) -> str:
    accepted = f"Policy {use.actor} alone accepted {counted(use.pairs, 'pair')} of the export"
    if use.precision is None or use.confidence is None:
        return f"{accepted}; the record has no declaration of it."
    looks = "a running audit" if use.looks is None else f"looks at {', '.join(map(str, use.looks))} audit labels"
    return (
        f"{accepted}, under a certificate of a precision of at least {use.precision:g} at a confidence of"
        f" {use.confidence:g} (label {use.claim}, {looks})."
    )


def policies(summary: ExportSummary) -> list[str]:
    sentences = [policy(use) for use in summary.policies]
    if sentences and summary.declared_policies > 1:
        sentences.append(
            f"{summary.declared_policies:,} policies are declared in the record; the confidence holds for each alone."
        )
    return sentences


def shares(label: str, counts: Mapping[str, int], total: int) -> str:
    """Return "Negation cues: no 446 (45.7 %), ..."; "" without counts."""
    if not counts or not total:
        return ""
    return f"{label}: {', '.join(f'{name} {n:,} ({100 * n / total:.1f} %)' for name, n in counts.items())}."


def biases(summary: ExportSummary) -> list[str]:
    """Return the distributions of cues, positions, types and concepts in the export."""
    counts, total = summary.manifest.counts, summary.manifest.counts.pairs
    sentences = [
        shares("Negation cues", counts.by_cue, total),
        shares("Positions of the cue", counts.by_cue_position, total),
        shares("Negation types", counts.by_negation_type, total),
        shares("Most frequent negated concepts", dict(summary.top_concepts), total),
    ]
    return [sentence for sentence in sentences if sentence]


def limitations(summary: ExportSummary) -> list[str]:
    """Return the limits that follow from the counts, the blind gate and the benchmarks."""
    counts, limit = summary.manifest.counts, summary.manifest.text_limit
    single = sum(pairs for votes, pairs in summary.votes_per_pair.items() if votes == 1)
    without_vote = summary.votes_per_pair.get(0, 0)
    simulated = sum(each.simulated for each in summary.judges)
    known = {
        "Pairs with a single accept or reject": single,
        "Pairs without an accept or reject of an annotator (accepted by a policy, adjudicated or open)": without_vote,
        "Pairs without the original caption": counts.without_caption,
        "Pairs without a file name of the image": counts.without_file_name,
        "Pairs without a recognised negation cue": counts.without_cue,
        "Pairs without a known negated concept": summary.without_concept,
        f"Pairs with more than {limit.get('most_tokens')} tokens ({limit.get('tokenizer')}), whose end the model to be"
        " trained does not read": counts.too_long,
        "Judges that a script simulates, without a model": simulated,
    }
    sentences = [f"{text}: {number:,}." for text, number in known.items() if number]
    if not summary.agreement.items:
        sentences.append(agreement(summary))
    return [gate(summary), *sentences, *benchmarks(summary)]
