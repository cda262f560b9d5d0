"""Tests of quotes in CSV files: unclosed quotes and rows of several lines."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pytest

from curation_db.importing.tables import reader
from curation_db.importing.tables.layout import ColumnLayout


def _captions(importer: Any) -> list[str]:
    return [row[0] for row in importer.rows("SELECT text FROM caption ORDER BY id")]


def _refused(importer: Any) -> dict[str, str]:
    return {each.where: str(each.reason) for each in importer.rejects}


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
def test_a_line_with_an_unclosed_quote_is_refused(importer: Any, tail: str) -> None:
    report = importer.run(importer.write("t.csv", 'image,caption\n9.png,first\na.png,"a dog\n' + tail))
    assert (_captions(importer), report.captions) == (["first", "ok", "ok2"], 3)
    assert _refused(importer) == {"line 3": "malformed"}
    assert "quote" in importer.rejects[0].message or "expected" in importer.rejects[0].message
    assert importer.rejects[0].excerpt.startswith('a.png,"a dog')


def test_an_unclosed_quote_that_a_later_line_closes(importer: Any) -> None:
    data = 'id,image,caption\n1,a.png,"a dog\n2,b.png,ok\n3,c.png,ok 12"\n4,d.png,"x\n5,e.png,12"\n6,f.png,y\n'
    importer.run(importer.write("t.csv", data))
    assert _captions(importer) == ["ok", 'ok 12"', '12"', "y"]
    assert _refused(importer) == {"line 2": "malformed", "line 5": "malformed"}


def test_an_unclosed_quote_in_the_first_column(importer: Any) -> None:
    importer.run(importer.write("t.csv", 'caption,image\n"a dog,a.png\nok,b.png\n12",c.png\nz,d.png\n'))
    assert _captions(importer) == ["ok", '12"', "z"]
    assert _refused(importer) == {"line 2": "malformed"}


def test_the_last_line_may_end_inside_quotes(importer: Any) -> None:
    importer.run(importer.write("t.csv", 'image,caption\na.png,ok\nb.png,"cut he'))
    assert (_captions(importer), _refused(importer)) == (["ok"], {"line 3": "malformed"})


def test_one_stray_quote_in_a_long_file(importer: Any) -> None:
    rows = [f"{number}.png,a caption of some length number {number}\n" for number in range(60_000)]
    rows[4] = '4.png,"a caption\n'
    report = importer.run(importer.write("t.csv", "image,caption\n" + "".join(rows)))
    assert report.captions == 59_999
    assert _refused(importer) == {"line 6": "malformed"}


def test_rows_of_several_lines_are_read(importer: Any) -> None:
    cells = ["a dog,\nrunning, fast", 'he says\n"no"\n\n3 times', "x\r\ny", "one"]
    cells += ["\n".join(f"line {n}, of many" for n in range(reader.ROW_LINES - 1))]
    out = io.StringIO()
    csv.writer(out).writerows([["image", "caption"], *([f"{n}.png", text] for n, text in enumerate(cells))])
    report = importer.run(importer.write("t.csv", out.getvalue()))
    assert (importer.rejects, report.captions) == ([], len(cells))


def test_a_row_of_several_lines_with_the_wrong_cells_is_one_reject(importer: Any) -> None:
    data = 'image,caption,x\na.png,"two\nlines"\nb.png,ok,1\nc.png\n'
    importer.run(importer.write("t.csv", data))
    assert (_captions(importer), _refused(importer)) == (["ok"], {"line 2": "malformed", "line 5": "malformed"})


def test_an_unclosed_quote_in_the_header_is_an_error(importer: Any) -> None:
    with pytest.raises(reader.InputError, match="line 1"):
        importer.run(importer.write("t.csv", 'image,"caption\na.png,b\n'))


def test_rows_after_many_malformed_rows_are_imported(importer: Any) -> None:
    importer.run(importer.write("t.csv", "image,caption\n" + "lost\n" * 50 + "a.png,found\n"))
    assert _captions(importer) == ["found"]
    assert len(importer.rejects) == 50


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('a",x"y,"z\n', id="open seen from outside and from inside"),
        pytest.param('a.png,"a dog\n', id="every line"),
        pytest.param('a.png,"a dog\n' + "b.png,ok\n" * 99, id="every hundredth"),
    ],
)
def test_files_of_unclosed_quotes_take_linear_time(importer: Any, line: str) -> None:
    def seconds(lines: int) -> float:
        path = importer.write("t.csv", "image,caption\nok.png,ok\n" + line * (lines // line.count("\n")))
        begun = time.process_time()
        assert sum(1 for _ in reader.read_csv(path, ColumnLayout(","))) >= lines - 1
        return time.process_time() - begun

    assert seconds(40_000) < 8 * seconds(10_000) + 1
