"""Tables of an audit of captions: rates with bars, targets, published rates, samples, words, bad rows. Pure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from curation_db.corpus_audit.comparison import ShareDifference
from curation_db.stats.intervals import Interval
from workbench.console.number_format import NONE, fine_percent, fine_span, percent, span
from workbench.console.tables import Listing
from workbench.reports.interval_bars import interval_bar

Report = Mapping[str, Any]
"""What `curation_db.corpus_audit.audit_report.report_json` returns."""

_BAR_CELLS: Final = 16
_MOST_TARGETS: Final = 12
_MOST_SHOWN: Final = 10
_SHOWN_GROUPS: Final = ("all", "use", "class", "cue", "position", "type")
_TITLES: Final = {
    "all": "negation",
    "use": "negation",
    "class": "by class",
    "cue": "by cue",
    "position": "by position",
    "type": "by type",
}


def interval_of(values: Sequence[float | None]) -> Interval:
    """Return an interval from the report."""
    estimate, low, high = (math.nan if value is None else value for value in values)
    return Interval(estimate, low, high)


def largest_share(report: Report) -> float:
    """Return the right end of the bars: a round number above the largest share of captions and its interval."""
    shares = [interval_of(rate["caption_share"]) for keys in report["rates"].values() for rate in keys.values()]
    found = [share.high for share in shares if share.estimate > 0]
    most = max(found, default=1.0)
    unit = 10.0 ** math.floor(math.log10(most))
    return min(next(step * unit for step in (1, 2, 4, 8, 10) if step * unit >= most), 1.0)


def rate_listing(report: Report) -> Listing:
    """Return the shares of captions and of words, by group, with bars."""
    most = largest_share(report)
    rows = [
        (_TITLES[group], key, *_rate_cells(rate, most))
        for group in _SHOWN_GROUPS
        for key, rate in report["rates"][group].items()
    ]
    texts = report["texts"]
    title = f"Negation in {report['captions']:,} {texts}, {report['words']:,} words"
    scale = f"0 to {100 * most:.3g} %"
    headers = ("", "cue", texts, f"% of {texts}", "95 %", scale, "words", "% of words", "95 %")
    dispensable = [(5, "the bars"), (8, "the interval of words"), (6, "words"), (4, f"the interval of {texts}")]
    return Listing(title, headers, rows, left=2, dispensable=dispensable, grouped=True, about=report["source"])


def _rate_cells(rate: Report, most: float) -> tuple[str, ...]:
    captions, words = interval_of(rate["caption_share"]), interval_of(rate["word_share"])
    bar = "" if math.isnan(captions.estimate) else interval_bar(_scaled(captions, most), _BAR_CELLS)
    # fmt: off
    return (
        f"{rate['captions']:,}", fine_percent(captions.estimate), fine_span(captions), bar,
        f"{rate['words']:,}", fine_percent(words.estimate), fine_span(words),
    )
    # fmt: on


def _scaled(interval: Interval, most: float) -> Interval:
    return Interval(*(min(each / most, 1.0) for each in (interval.estimate, interval.low, interval.high)))


def target_listing(report: Report) -> Listing:
    """Return the most frequent head words of what the cues negate."""
    rows = [(target, f"{count:,}") for target, count in report["targets"][:_MOST_TARGETS]]
    rest = [('(no target, such as "nothing")', f"{report['without_target']:,}")]
    return Listing("Most frequent targets of negation", ("target", "cues"), rows + rest)


def published_listings(report: Report) -> list[Listing]:
    """Return the published rates, and their sources with what they count."""
    sources = list(dict.fromkeys((rate["source"], rate["counted"], rate["note"]) for rate in report["published"]))
    numbers = {source: str(at) for at, (source, _, _) in enumerate(sources, 1)}
    rows = [
        (rate["corpus"], _published(rate["caption_share"]), _published(rate["word_share"]), numbers[rate["source"]])
        for rate in report["published"]
    ]
    any_cue = report["rates"]["all"]["any cue"]
    shares = [fine_percent(interval_of(any_cue[name]).estimate) for name in ("caption_share", "word_share")]
    here = [(f"{report['source']}, here", shares[0], shares[1], "")]
    described = [
        (numbers[source], "; ".join(filter(None, [source, counted, note]))) for source, counted, note in sources
    ]
    return [
        Listing(
            "Published rates, each counted by its own words",
            ("corpus", "% of captions", "% of words", "source"),
            here + rows,
        ),
        Listing("Sources of the published rates", ("", ""), described, left=2),
    ]


def _published(share: float | None) -> str:
    return NONE if share is None else fine_percent(share)


def image_check_listings(report: Report) -> list[Listing]:
    """Return the result of the look at images, and captions whose image shows what they deny; none without a look."""
    check = report.get("image_check")
    if not check:
        return []
    figures = [
        ("captions that deny an object, with an image", f"{check['checked']:,}"),
        ("the image shows the object", f"{check['shown']:,}"),
        ("share", _percent_span(check["share"])),
        ("the judge cannot tell", f"{check['unclear']:,}"),
        *((f"not checked: {why}", f"{count:,}") for why, count in check["left_out"].items()),
        *_score_figures(check.get("score")),
    ]
    judge = check["judge"]["name"] + (", simulated" if check["judge"]["simulated"] else "")
    listings = [Listing("Do images show what their captions deny? Judge", ("", ""), figures, about=judge)]
    rows = [(each["text"], each["question"], each["where"]) for each in check["captions"] if each["shown"]]
    if rows:
        headers = ("caption", "question, answered with yes", "where")
        listings.append(Listing("Captions whose image shows what they deny", headers, rows[:_MOST_SHOWN], left=3))
    return listings


def _score_figures(score: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return what a reader must know of answers that are scores of CLIP."""
    if score is None:
        return []
    rule = ("yes: the image fits the object better than others", f"z > {score['threshold']:.3f}")
    calibration = score["calibration"]
    if calibration is None:
        return [rule, ("calibrated", "no: a score, too few labels here to turn it into a probability")]
    share = calibration["share"]
    kind = "blind audit" if calibration["labels"] == "audit" else "all decisions"
    return [
        rule,
        (
            "calibrated on labels of this workspace",
            f"{calibration['fitted']:,} of {kind}; tested on {calibration['tested']:,}",
        ),
        ("it finds an object that is there", _percent_span(calibration["sensitivity"])),
        ("it finds none where there is none", _percent_span(calibration["specificity"])),
        ("share, corrected for these errors", NONE if share is None else _percent_span(share)),
    ]


def _percent_span(parsed: Any) -> str:
    interval = interval_of(parsed)
    return NONE if math.isnan(interval.estimate) else f"{percent(interval.estimate)} % ({span(interval)})"


def sample_listing(report: Report, most: int) -> Listing:
    """Return at most `most` captions for each cue, for reading."""
    rows = [(cue, each["text"], each["where"]) for cue, entries in report["samples"].items() for each in entries[:most]]
    return Listing("Captions for reading, drawn at random for each cue", ("cue", "caption", "where"), rows, left=3)


def word_lines(report: Report, *, full: bool, width: int) -> list[str]:
    """Return the words that are counted, in lines of at most `width` cells.

    Args:
        full: With the exceptions, the listed words with un-, and the idioms that are not counted.
    """
    lines = [f"WORDS THAT ARE COUNTED, as patterns (version {report['cues_version']}; in full: --words)"]
    limit = max(width, 40)
    for name, listed in word_rows(report, full=full):
        parts = listed.split(_BETWEEN)
        whole = (each.replace(" ", _NO_BREAK) if len(each) < limit else each for each in parts)
        text = f"{name}: {', '.join(whole)}"
        wrapped = textwrap.wrap(text, limit, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
        lines += [line.replace(_NO_BREAK, " ") for line in wrapped]
    return lines


_BETWEEN = ",  "
_NO_BREAK = "\N{NO-BREAK SPACE}"


def word_rows(report: Report, *, full: bool) -> list[tuple[str, str]]:
    """Return the words that are counted: by class or, if `full`, one row for each kind and for the idioms."""
    if not full:
        classes = dict.fromkeys(each["word_class"] for each in report["word_list"])
        return [(name, _BETWEEN.join(_patterns(report, name))) for name in classes]
    rows = [
        (f"{each['word_class']} {each['word']}", "; ".join(filter(None, [each["pattern"], each["note"]])))
        for each in report["word_list"]
    ]
    return [*rows, ("not counted", _BETWEEN.join(report["not_counted"]))]


def _patterns(report: Report, word_class: str) -> Iterator[str]:
    return (each["pattern"] for each in report["word_list"] if each["word_class"] == word_class)


def bad_row_lines(report: Report, most: int = 5) -> list[str]:
    """Return lines about rows and files that are no captions; empty if there are none."""
    bad = report["bad_rows"]
    lines = []
    if bad["rows"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in bad["reasons"].items())
        lines.append(f"{bad['rows']:,} rows are no captions: {reasons}")
        lines += [f"  {each['file']}, {each['row']}: {each['message']}" for each in bad["listed"][:most]]
        if bad["rows"] > most:
            lines.append("  the others: --json")
    for fault in report["bad_files"]:
        hint = f" ({fault['hint']})" if fault["hint"] else ""
        lines.append(f"{fault['file']}: {fault['message']}{hint}")
    return lines


def difference_listing(differences: Sequence[ShareDifference], first: str, second: str) -> Listing:
    """Return the differences between two audits, in percentage points."""
    rows = [
        (
            *(_TITLES[each.group], each.key),
            *(fine_percent(each.first_captions.estimate), fine_percent(each.second_captions.estimate)),
            *(_points(each.captions), "*" if each.is_clear else ""),
            *(fine_percent(each.first_words.estimate), fine_percent(each.second_words.estimate), _points(each.words)),
        )
        for each in differences
    ]
    headers = ("", "cue", "A % of captions", "B %", "B - A, points", "", "A % of words", "B %", "B - A, points")
    title = f"A = {first}, B = {second}; * the interval excludes 0"
    dispensable = [(6, "A % of words"), (7, "B % of words"), (8, "the difference of words")]
    return Listing(title, headers, rows, left=2, dispensable=dispensable, grouped=True)


def _points(difference: Interval) -> str:
    digits = 3 if abs(difference.estimate) < 0.001 else 2
    low, high = (f"{100 * each:+.{digits}f}" for each in (difference.low, difference.high))
    return f"{100 * difference.estimate:+.{digits}f} ({low}…{high})"
