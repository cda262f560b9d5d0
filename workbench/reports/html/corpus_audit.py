"""An audit of captions as one HTML file without scripts or links: charts as inline SVG, and all tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any, Final

from curation_db.language.sanitize import display_text
from workbench.console.number_format import fine_percent, fine_span
from workbench.reports import corpus_audit
from workbench.reports.corpus_audit import interval_of, largest_share
from workbench.reports.html.charts import Bar, bar_plot
from workbench.reports.html.page_parts import html_page, table_html, text_html

_CHARTS: Final = (
    ("use", "Negation and mention"),
    ("class", "By class of word"),
    ("cue", "By cue"),
    ("position", "By position in the caption"),
    ("type", "By type: what is negated"),
)
_SAMPLES: Final = 20


def audit_page(report: Mapping[str, Any]) -> str:
    """Return the page of a report (`curation_db.corpus_audit.audit_report.report_json`)."""
    counts = f"{report['captions']:,} {report['texts']}, {report['words']:,} words"
    bad = "".join(f"<p>{text_html(line)}</p>" for line in corpus_audit.bad_row_lines(report))
    charts = "".join(_chart(report, group, title) for group, title in _CHARTS)
    listings = [
        corpus_audit.rate_listing(report),
        corpus_audit.target_listing(report),
        *corpus_audit.image_check_listings(report),
        *corpus_audit.published_listings(report),
        corpus_audit.sample_listing(report, _SAMPLES),
    ]
    words = "".join(
        f"<p><b>{text_html(name)}</b> <code>{escape(display_text(listed, limit=20_000))}</code></p>"
        for name, listed in corpus_audit.word_rows(report, full=True)
    )
    intervals = f"Intervals are {report['intervals']}."
    return html_page(
        f"negwb audit {report['source']}",
        f"<h1>Negation in {text_html(report['source'])}</h1><p>{text_html(counts)}. {text_html(intervals)}</p>{bad}"
        f"<h2>Share of captions</h2>{charts}<h2>Tables</h2>{''.join(map(table_html, listings))}"
        f"<h2>Words that are counted</h2>{words}",
    )


def _chart(report: Mapping[str, Any], group: str, title: str) -> str:
    most = largest_share(report)
    bars = []
    for number, (key, rate) in enumerate(report["rates"][group].items()):
        share = interval_of(rate["caption_share"])
        if not math.isnan(share.estimate):
            figures = f"{fine_percent(share.estimate)} % ({fine_span(share)})"
            bars.append(Bar(key, share, number, f"{rate['captions']:,}", figures))
    if not bars:
        return ""
    name = f"{title}, % of {report['texts']}"
    return f'<h3>{text_html(name)}</h3><div class="card">{bar_plot(bars, title=name, chance=None, most=most)}</div>'
