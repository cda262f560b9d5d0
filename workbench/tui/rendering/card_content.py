"""The texts of a card as Textual content: marks, bars, checks. All data goes through `display_text`.

A glyph, a word or a shape stands beside every colour. Only theme variables are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from curation_db.enums import Kind, Question
from curation_db.events.event_log import PreviousDecision
from curation_db.language.sanitize import display_text
from curation_db.lint.linter import Finding
from curation_db.search.cards import Card, CardVerdict
from workbench.annotation.models import PreparedCard
from workbench.annotation.probe import Probe
from workbench.annotation.text_spans import TextSpan, highlighted_original, highlighted_spans
from workbench.annotation.wording import DECISIONS, Tone, answer, disagreement, readable

QUIET = "$foreground 70%"
GOOD, BAD, WARN, MARK = "$text-success", "$text-error", "$text-warning", "$text-accent"
_FULL, _EMPTY, _NONE = "▓", "░", "·"
_NAME_CELLS, _CONCEPT_CELLS, _ROOM_TO_ASK = 19, 10, 44
_SIBLINGS = 4
_CONCEPT_LINE, _CONCEPT_LINE_NARROW = 44, 34
STYLES: dict[Tone, str] = {Tone.PLAIN: "", Tone.QUIET: QUIET, Tone.GOOD: GOOD, Tone.BAD: BAD, Tone.WARN: WARN}


def decision_style(kind: Kind) -> str:
    return STYLES[DECISIONS[kind].tone]


def plain(text: str | None, style: str = "", *, limit: int = 600) -> Content:
    """Return data text on one line."""
    return Content.styled(display_text(text or "", limit=limit), style)


def marked(parts: Iterable[TextSpan], *, base: str = "bold") -> Content:
    """Return a caption with marks: the cue bold and underlined, the difference between « and »."""
    return Content.assemble(*((part.text, _mark_style(part) or base) for part in parts))


def original(caption: str, text: str, *, base: str = "") -> Content:
    """Return the original caption; words that the rewrite `text` leaves out are struck through."""
    return marked(highlighted_original(caption, text), base=base)


def _mark_style(part: TextSpan) -> str:
    if part.cue:
        return f"bold underline {MARK}"
    if part.removed:
        return f"strike {WARN}"
    return f"bold {MARK}" if part.changed else ""


def concept_line(card: Card, *, narrow: bool) -> Content:
    """Return the negated concept, the cue and the negation type."""
    concept = plain(card.concept, "bold", limit=60) if card.concept else Content.styled("not known", QUIET)
    if card.concept and card.concept_confidence is not None and card.concept_confidence < 0.8:
        concept += Content.styled(f" ? {_share(card.concept_confidence)} sure", QUIET)
    cue = f"{display_text(card.cue, limit=20)} · {card.cue_position}" if card.cue else "none"
    kind = ("type ", QUIET), str(card.negation_type)
    if narrow:
        beside = concept.cell_length + len(card.negation_type) + 8 <= _CONCEPT_LINE_NARROW
        return Content.assemble(concept, "   " if beside else "\n", *kind, "\n", ("cue ", QUIET), cue)
    rest = Content.assemble(("cue ", QUIET), cue, "   ", *kind)
    fits = concept.cell_length + rest.cell_length + 3 <= _CONCEPT_LINE
    return Content.assemble(concept, "   " if fits else "\n", rest)


def opinion_rows(card: Card, width: int) -> list[Content]:
    """Return one row per verdict in common columns, then remarks."""
    asks = _column(_asks(opinion, card.concept) if width >= _ROOM_TO_ASK else "" for opinion in card.verdicts)
    names = _column(display_text(opinion.judge, limit=60) for opinion in card.verdicts)
    answers = _column(f"{_share(opinion.p):>4} {answer(opinion.question, opinion.p)}" for opinion in card.verdicts)
    taken = sum(cell_len(column[0]) for column in (asks, names, answers)) if card.verdicts else 0
    bar_cells = 10 if width >= taken + 13 else 5
    rows = [
        Content.assemble(
            name,
            " ",
            (ask + " ", QUIET) if ask else "",
            (bar(opinion.p, bar_cells), _tone(opinion)),
            " ",
            (label, _tone(opinion)),
        )
        for opinion, name, ask, label in zip(card.verdicts, names, asks, answers, strict=True)
    ]
    remarks = _on_opinions(card)
    return [*rows, remarks] if remarks else rows


def _on_opinions(card: Card) -> Content:
    remarks = []
    if card.conflict:
        remarks.append(Content.styled(f"⚠ {disagreement(card.disputed)}", f"bold {WARN}"))
    if any(opinion.simulated for opinion in card.verdicts):
        remarks.append(Content.styled("simulated judges", QUIET))
    return Content.styled(" · ", QUIET).join(remarks)


def _column(texts: Iterable[str]) -> list[str]:
    """Return `texts` padded to the widest of them, or cut at the maximum width of a name."""
    listed = list(texts)
    cells = min(_NAME_CELLS, max((cell_len(text) for text in listed), default=0))
    return [_fitted(text, cells) for text in listed]


def _asks(opinion: CardVerdict, concept: str | None) -> str:
    if opinion.question is Question.ACCEPTABLE:
        return "P(fine)"
    named = display_text(concept or "it", limit=40)
    return f"P({_fitted(named, min(_CONCEPT_CELLS, cell_len(named)))})"


def _fitted(text: str, cells: int) -> str:
    """Return `text` in exactly `cells` cells; a cut ends with an ellipsis."""
    if cell_len(text) <= cells:
        return set_cell_size(text, cells)
    return set_cell_size(text, cells - 1) + "…"


def _share(p: float | None) -> str:
    return "  – " if p is None else f"{p:.2f}".removeprefix("0")


def _tone(opinion: CardVerdict) -> str:
    if opinion.p is None:
        return QUIET
    supports = (opinion.p >= 0.5) is (opinion.question is Question.ACCEPTABLE)
    return GOOD if supports else BAD


def bar(p: float | None, cells: int = 10) -> str:
    """Return a probability as a bar; an unclear answer has none."""
    if p is None:
        return _NONE * cells
    full = max(0, min(cells, round(p * cells)))
    return _FULL * full + _EMPTY * (cells - full)


def checks(findings: Sequence[Finding]) -> Content:
    """Return the checks: passed ones on one line, then one line per finding."""
    passed = [Content.assemble(("✓ ", GOOD), _message(finding)) for finding in findings if finding.ok]
    lines = [Content("   ").join(passed)] if passed else []
    lines += [Content.assemble(("⚠ ", f"bold {WARN}"), _message(each)) for each in findings if not each.ok]
    return Content("\n").join(lines)


def _message(finding: Finding) -> str:
    return display_text(finding.message, limit=120)


def siblings(texts: Sequence[str]) -> Content | None:
    """Return the other captions of the image."""
    if not texts:
        return None
    lines = [plain(text, QUIET, limit=200) for text in texts[:_SIBLINGS]]
    if len(texts) > _SIBLINGS:
        lines.append(Content.styled(f"and {len(texts) - _SIBLINGS} more", QUIET))
    return Content("\n").join(lines)


def remarks(card: Card) -> Content | None:
    lines = [Content.styled("⚑ flagged", f"bold {WARN}")] if card.flagged else []
    lines += [Content.assemble(("✎ ", QUIET), plain(note, limit=300)) for note in card.notes]
    return Content("\n").join(lines) if lines else None


def past_decision(past: PreviousDecision, back_key: str | None) -> Content:
    """Return the annotator's previous decision about this card.

    Args:
        back_key: The key that returns to the queue; None: the card is from the queue.
    """
    reason = f": {readable(past.reason)}" if past.reason else ""
    decision = DECISIONS[past.kind]
    return Content.assemble(
        (f"{decision.glyph} {decision.past}{reason}", "bold"),
        ("\na new decision replaces it" + (f" · {back_key} returns to the queue" if back_key else ""), QUIET),
    )


def zoomed_probe(probe: Probe) -> Content:
    """Return the question of a probe, for below the image on the whole screen."""
    sentence = display_text(probe.question.sentence, limit=600)
    return Content.assemble((sentence, "bold"), ("\nIs this sentence true or false of the image?", QUIET))


def zoomed_card(ready: PreparedCard, *, forward_key: str) -> Content:
    """Return what is decided about, for below the image on the whole screen: earlier decision, text, warnings, flag."""
    card = ready.card
    lines = [past_decision(ready.past, None if ready.second_look else forward_key)] if ready.past else []
    lines.append(marked(highlighted_spans(card.text, card.caption)))
    failed = [finding for finding in card.findings if not finding.ok]
    if failed:
        lines.append(Content.styled("⚠ " + " · ".join(_message(finding) for finding in failed), WARN))
    if card.flagged:
        lines.append(Content.styled("⚑ flagged", f"bold {WARN}"))
    return Content("\n").join(lines)
