"""Methods paragraph and tables about a frozen export, as Markdown or LaTeX. Pure functions over its summary.

Every number comes from the record. LaTeX output needs the package booktabs and no other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from curation_db.language.sanitize import display_text
from workbench.reports.exports import statements

if TYPE_CHECKING:
    from workbench.reports.exports.summary import ExportSummary

_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # a bracket after \\ would be its optional argument
    "]": "{]}",
}
_LONGEST: Final = 100_000
"""Characters of a sentence or cell; nothing that the record states is cut."""
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>#|~$])")


@dataclass(frozen=True, slots=True)
class PaperTable:
    label: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def paragraph(summary: ExportSummary) -> list[str]:
    """Return the sentences of the methods paragraph."""
    sentences = [
        statements.content(summary),
        statements.selection(summary),
        *statements.generators(summary),
        statements.annotation(summary),
        statements.votes_per_pair(summary),
        statements.agreement(summary),
        statements.audit(summary),
        *(statements.judge(each) for each in summary.judges),
        *statements.policies(summary),
        *statements.limitations(summary),
    ]
    return list(dict.fromkeys(sentence for sentence in sentences if sentence))


def tables(summary: ExportSummary) -> list[PaperTable]:
    """Return the tables that have a row."""
    counts = summary.manifest.counts
    found = [
        _distribution("cues", "Negation cues", counts.by_cue, counts.pairs),
        _distribution("positions", "Positions of the negation cue", counts.by_cue_position, counts.pairs),
        _distribution("types", "Negation types", counts.by_negation_type, counts.pairs),
        _distribution("concepts", "Most frequent negated concepts", dict(summary.top_concepts), counts.pairs),
        PaperTable(
            "annotators",
            "Votes in force by annotator",
            ("annotator", "accept", "reject", "unsure"),
            tuple(
                (each.name, f"{each.accepts:,}", f"{each.rejects:,}", f"{each.unsures:,}")
                for each in summary.annotators
            ),
        ),
        _agreement(summary),
        PaperTable(
            "judges",
            "Verdicts of the judges on the pairs of the export",
            ("judge", "model", "prompt", "question", "verdicts"),
            tuple(
                (each.judge, each.model, each.prompt_version, each.question, f"{each.verdicts:,}")
                for each in summary.judges
            ),
        ),
        PaperTable(
            "files",
            "Files of the export",
            ("file", "bytes", "sha256"),
            tuple((name, f"{facts.bytes:,}", facts.sha256) for name, facts in sorted(summary.manifest.files.items())),
        ),
    ]
    return [table for table in found if table.rows]


def _distribution(label: str, caption: str, counts: Mapping[str, int], total: int) -> PaperTable:
    rows = tuple((name, f"{number:,}", f"{100 * number / total:.1f} %") for name, number in counts.items())
    return PaperTable(label, caption, ("value", "pairs", "share"), rows)


def _agreement(summary: ExportSummary) -> PaperTable:
    measured = (("all votes", summary.agreement), ("blind audit labels", summary.audit.agreement))
    return PaperTable(
        "agreement",
        "Agreement of annotators, with 95 % bootstrap intervals clustered by image",
        ("votes", "candidates", "P_o", "AC1", "alpha"),
        tuple(
            (name, f"{known.items:,}", *map(statements.interval_text, (known.observed, known.ac1, known.alpha)))
            for name, known in measured
            if known.items
        ),
    )


def latex_text(text: str) -> str:
    """Escape `text` for LaTeX; control characters become visible."""
    escaped = "".join(_LATEX.get(character, character) for character in display_text(text, limit=_LONGEST))
    return escaped.replace("--", "-{}-").replace("--", "-{}-")


def markdown_text(text: str) -> str:
    """Escape `text` for Markdown, also inside of a table; control characters become visible."""
    return _MARKDOWN.sub(r"\\\1", display_text(text, limit=_LONGEST))


def to_markdown(summary: ExportSummary) -> str:
    blocks = [" ".join(map(markdown_text, paragraph(summary)))]
    for table in tables(summary):
        lines = [_markdown_row(table.header), _markdown_row(["---"] * len(table.header), escape=False)]
        lines += [_markdown_row(row) for row in table.rows]
        blocks += [f"**{markdown_text(table.caption)}**", "\n".join(lines)]
    return "\n\n".join(blocks) + "\n"


def _markdown_row(cells: Sequence[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(map(markdown_text, cells) if escape else cells)} |"


def to_latex(summary: ExportSummary) -> str:
    blocks = ["% needs \\usepackage{booktabs}", "\n".join(map(latex_text, paragraph(summary)))]
    blocks += [_latex_table(table, summary.manifest.name) for table in tables(summary)]
    return "\n\n".join(blocks) + "\n"


def _latex_table(table: PaperTable, name: str) -> str:
    rows = [" & ".join(map(latex_text, row)) + r" \\" for row in (table.header, *table.rows)]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{latex_text(table.caption)}}}",
            rf"\label{{tab:{name}-{table.label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
