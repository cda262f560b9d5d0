"""A quote that is never closed costs its own line, and rows of several lines stay what they are."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pytest

from curation_db.importing.tables import reader
from curation_db.importing.tables.layout import ColumnLayout


def _captions(desk: Any) -> list[str]:
    return [row[0] for row in desk.rows("SELECT text FROM caption ORDER BY id")]


def _told(desk: Any) -> dict[str, str]:
    return {each.where: str(each.reason) for each in desk.rejects}


@pytest.mark.parametrize(
    "tail",
    [
        "b.png,ok\nc.png,ok2\n",  # the file ends inside quotes
        "b.png,ok\nc.png,ok2",
        'b.png,"ok"\nc.png,"ok2"\n',  # the next quote closes it, and goes on
        'b.png,ok\nc.png,"ok2"\n',
        "b.png,ok\nc.png,ok2\n\n\n",
    ],
)
def test_an_open_quote_costs_its_line(desk: Any, tail: str) -> None:
    report = desk.take(desk.file("t.csv", 'image,caption\n9.png,first\na.png,"a dog\n' + tail))
    assert (_captions(desk), report.captions) == (["first", "ok", "ok2"], 3)
    assert _told(desk) == {"line 3": "malformed"}
    assert "quote" in desk.rejects[0].message or "expected" in desk.rejects[0].message
    assert desk.rejects[0].excerpt.startswith('a.png,"a dog')


def test_an_open_quote_that_something_closes(desk: Any) -> None:
    data = 'id,image,caption\n1,a.png,"a dog\n2,b.png,ok\n3,c.png,ok 12"\n4,d.png,"x\n5,e.png,12"\n6,f.png,y\n'
    desk.take(desk.file("t.csv", data))
    assert _captions(desk) == ["ok", 'ok 12"', '12"', "y"]
    assert _told(desk) == {"line 2": "malformed", "line 5": "malformed"}


def test_an_open_quote_in_the_first_column(desk: Any) -> None:
    desk.take(desk.file("t.csv", 'caption,image\n"a dog,a.png\nok,b.png\n12",c.png\nz,d.png\n'))
    assert _captions(desk) == ["ok", '12"', "z"]
    assert _told(desk) == {"line 2": "malformed"}


def test_the_last_line_may_be_cut_inside_quotes(desk: Any) -> None:
    desk.take(desk.file("t.csv", 'image,caption\na.png,ok\nb.png,"cut he'))
    assert (_captions(desk), _told(desk)) == (["ok"], {"line 3": "malformed"})


def test_one_stray_quote_in_a_long_file(desk: Any) -> None:
    rows = [f"{number}.png,a caption of some length number {number}\n" for number in range(60_000)]
    rows[4] = '4.png,"a caption\n'
    report = desk.take(desk.file("t.csv", "image,caption\n" + "".join(rows)))
    assert report.captions == 59_999
    assert _told(desk) == {"line 6": "malformed"}


def test_rows_of_several_lines(desk: Any) -> None:
    said = ["a dog,\nrunning, fast", 'he says\n"no"\n\n3 times', "x\r\ny", "one"]
    said += ["\n".join(f"line {n}, of many" for n in range(reader.ROW_LINES - 1))]
    out = io.StringIO()
    csv.writer(out).writerows([["image", "caption"], *([f"{n}.png", text] for n, text in enumerate(said))])
    report = desk.take(desk.file("t.csv", out.getvalue()))
    assert (desk.rejects, report.captions) == ([], len(said))


def test_a_row_of_several_lines_with_the_wrong_cells_is_one_reject(desk: Any) -> None:
    data = 'image,caption,x\na.png,"two\nlines"\nb.png,ok,1\nc.png\n'
    desk.take(desk.file("t.csv", data))
    assert (_captions(desk), _told(desk)) == (["ok"], {"line 2": "malformed", "line 5": "malformed"})


def test_an_open_quote_among_the_columns_is_no_input(desk: Any) -> None:
    with pytest.raises(reader.InputError, match="line 1"):
        desk.take(desk.file("t.csv", 'image,"caption\na.png,b\n'))


def test_rows_after_many_bad_ones_still_come_in(desk: Any) -> None:
    desk.take(desk.file("t.csv", "image,caption\n" + "lost\n" * 50 + "a.png,found\n"))
    assert _captions(desk) == ["found"]
    assert len(desk.rejects) == 50


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('a",x"y,"z\n', id="open seen from outside and from inside"),
        pytest.param('a.png,"a dog\n', id="every line"),
        pytest.param('a.png,"a dog\n' + "b.png,ok\n" * 99, id="every hundredth"),
    ],
)
def test_files_of_open_quotes_take_linear_time(desk: Any, line: str) -> None:
    def seconds(lines: int) -> float:
        path = desk.file("t.csv", "image,caption\nok.png,ok\n" + line * (lines // line.count("\n")))
        begun = time.process_time()
        assert sum(1 for _ in reader.read_csv(path, ColumnLayout(","))) >= lines - 1
        return time.process_time() - begun

    assert seconds(40_000) < 8 * seconds(10_000) + 1
