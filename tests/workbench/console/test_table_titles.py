"""The title of a plain table is in capitals; a name or a path in it stays as it is."""

from __future__ import annotations

from workbench.console.tables import Listing, plain_text


def test_a_path_after_the_title_keeps_its_letters() -> None:
    listing = Listing("Text encoders", ("name",), [("tuned",)], about="/data/Sd\x1b[1m")
    assert plain_text(listing).splitlines()[0] == "TEXT ENCODERS: /data/Sd[1m"
    assert plain_text(Listing("Runs", ("name",), [("tuned",)])).splitlines()[0] == "RUNS"
