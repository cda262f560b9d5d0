"""Parts of every HTML page: head and style, tables, escaped text. A page is one file without scripts or links."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from curation_db.language.sanitize import display_text
from workbench.console.tables import Listing

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root{color-scheme:light dark;--bg:#fdfdfb;--fg:#1d2126;--quiet:#626a73;--line:#dfe2e5;--card:#fff;--well:#eef0f2;
--c0:#000000;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;--c4:#cc79a7;--c5:#e69f00;--c6:#56b4e9;--c7:#b8ab00}
@media (prefers-color-scheme: dark){:root{--bg:#14171b;--fg:#e6e8ea;--quiet:#9aa3ad;--line:#31373e;--card:#1b1f24;
--well:#101317;
--c0:#e6e8ea;--c1:#4aa3df;--c2:#f07f2e;--c3:#1fc498;--c4:#e29cc3;--c5:#e69f00;--c6:#8acdf3;--c7:#f0e442}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:32px 24px 64px;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:40px 0 12px}h3{font-size:15px;margin:24px 0 8px}
p{color:var(--quiet);margin:4px 0 12px;max-width:76ch}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;margin:12px 0;
overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px;width:100%}
th,td{padding:5px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--quiet);font-weight:500}.t{text-align:left}.w td{white-space:normal}
tr:last-child td{border-bottom:0}
summary{cursor:pointer;color:var(--quiet);margin:12px 0 4px}
.legend{display:flex;flex-wrap:wrap;gap:6px 20px;list-style:none;padding:0;margin:0 0 12px}
.legend svg{vertical-align:-3px;margin-right:6px}
svg{max-width:100%;height:auto}.card>svg{display:block;min-width:680px}
svg text{fill:var(--fg);font-size:13px}svg text.tick{fill:var(--quiet);font-size:11px}
svg text.figure{fill:var(--quiet);font-size:12px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--line)}.chance{stroke:var(--quiet);stroke-dasharray:4 4}.whisker{stroke:var(--fg);stroke-width:1.5}
.mark{stroke:var(--card);stroke-width:1.2}
"""


def html_page(title: str, body: str, *, style: str = "") -> str:
    """Return a page. `body` is HTML; `style` is CSS after that of all pages."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{text_html(title)}</title><style>{STYLE}{style}</style></head><body>{body}</body></html>\n"
    )


def table_html(listing: Listing) -> str:
    """Return a table below its title; all texts are escaped."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="t"' if at < listing.left else "" for at in range(len(cells))]
        cells = [f"<{tag}{kind}>{text_html(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True)]
        return f"<tr>{''.join(cells)}</tr>"

    head = f"<thead>{row(listing.headers, 'th')}</thead>" if any(listing.headers) else ""
    wraps = ' class="w"' if len(listing.headers) <= listing.left else ""
    body = "".join(row(cells, "td") for cells in listing.rows)
    table = f"<table{wraps}>{head}<tbody>{body}</tbody></table>"
    return f'<h3>{text_html(listing.heading)}</h3><div class="card">{table}</div>'


def text_html(text: str) -> str:
    """Return a text of the data, sanitised and escaped."""
    return escape(display_text(text, limit=400))
