"""Work before the first step logs its progress about once a second and stops on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainers.interrupts import ImageProgress, Interrupted
from trainers.run_files import LOG, RunWriter, Work, read_work


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_once_a_second_and_rarer_in_a_long_pass(tmp_path: Path) -> None:
    clock = _Clock()
    watch = ImageProgress(Work.ENCODING, RunWriter(tmp_path), lambda: False, clock=clock)
    for done in range(0, 82_784, 16):
        watch(done, 82_783)
        clock.now += 0.8
    watch(82_783, 82_783)
    lines = [read_work(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert lines[0] == (Work.ENCODING, 32, 82_783)
    assert lines[-1] == (Work.ENCODING, 82_783, 82_783)
    assert 100 < len(lines) < 300
    assert None not in lines


def test_a_short_pass_logs_nothing(tmp_path: Path) -> None:
    watch = ImageProgress(Work.ENCODING, RunWriter(tmp_path), lambda: False)
    for done in range(5):
        watch(done, 4)
    assert not (tmp_path / LOG).exists()


def test_it_stops_on_request_also_while_waiting(tmp_path: Path) -> None:
    stops: list[bool] = []
    watch = ImageProgress(Work.ENCODING, RunWriter(tmp_path), lambda: bool(stops))
    watch(0, 0)
    watch(0, 0)
    assert (tmp_path / LOG).read_text() == "waiting: another process is encoding pictures\n"
    stops.append(True)
    for call in ((0, 0), (1, 2)):
        with pytest.raises(Interrupted):
            watch(*call)
