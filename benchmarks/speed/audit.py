"""Bench `audit`: the negation in 10 million captions, compared with a plain regular expression, and with grep.

All read the same file of lines. The plain loop only asks whether a caption has one of 11 words. The audit counts words,
and finds every cue of its longer list with scope, target and position. Rates per core are in CPU seconds, so that other
programs on the machine change them little; the scaling is in wall-clock seconds of `negwb audit`, from its start to its
end.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.speed.import_ import make_caption
from benchmarks.speed.support.harness import median, report_progress, timed
from curation_db.corpus_audit.counts import AuditCounts
from curation_db.corpus_audit.part_result import AuditOptions
from curation_db.corpus_audit.parts import parts_of
from curation_db.corpus_audit.run import audit_corpus

CAPTIONS: Final = 10_000_000
_QUICK: Final = 200_000
_DIFFERENT: Final = 200_000
_REPEATS: Final = 3
_NEGWB: Final = Path(sys.executable).with_name("negwb")
_WORDS: Final = r"\b(?:no|not|without|none|never|nothing|nobody|neither|nor|cannot)\b|n't"
"""As in the rate of COCO val2017 among the published rates."""
_GREP: Final = ("grep", "-c", "-i", "-E", _WORDS.replace("(?:", "("))


def run(*, quick: bool) -> dict[str, Any]:
    """Run the bench and return its figures."""
    captions, repeats = (_QUICK, 1) if quick else (CAPTIONS, _REPEATS)
    with tempfile.TemporaryDirectory(prefix="negwb-bench-") as temporary:
        path, tenth = Path(temporary) / "captions.txt", Path(temporary) / "tenth.txt"
        words = write_captions(path, captions)
        write_captions(tenth, captions // 10)
        report_progress(f"{captions:,} captions, {path.stat().st_size / 1e6:.1f} MB")
        # fmt: off
        figures: dict[str, list[float]] = {
            name: [] for name in ("ours", "plain", "grep", "one", "two", "ratio", "scaling")
        }
        # fmt: on
        for turn in range(repeats):
            ours = _cpu(lambda: _check(audit_corpus(parts_of(str(path)), AuditOptions()).total.counts, captions, words))
            plain = _cpu(lambda: _plain(path))
            one_s = timed(lambda: _command(path, 1, captions, words))
            two_s = timed(lambda: _command(path, 2, captions, words))
            figures["ours"].append(captions / ours)
            figures["plain"].append(captions / plain)
            figures["ratio"].append(plain / ours)
            figures["scaling"].append(one_s / two_s)
            figures["one"].append(one_s)
            figures["two"].append(two_s)
            if shutil.which("grep"):
                figures["grep"].append(captions / _grep_cpu(path))
            report_progress(f"turn {turn + 1}: ours {ours:.2f} s CPU, plain {plain:.2f} s CPU")
            report_progress(f"negwb audit: {one_s:.2f} s with one process, {two_s:.2f} s with two")
        rss, rss_tenth = _peak_mb(path), _peak_mb(tenth)
    return {
        "captions": captions,
        "captions_per_s": round(median(figures["ours"])),
        "plain_re_per_s": round(median(figures["plain"])),
        "grep_per_s": round(median(figures["grep"])) if figures["grep"] else None,
        "ratio_to_plain_re": median(figures["ratio"]),
        "scaling_two_cores": median(figures["scaling"]),
        "one_process_s": median(figures["one"]),
        "two_processes_s": median(figures["two"]),
        "rss_mb": rss,
        "rss_tenth_mb": rss_tenth,
        "repeats": repeats,
        "notes": [
            f"{min(captions, _DIFFERENT):,} different captions, {_share()} of them with a cue, in new orders",
            "per core, in CPU seconds: captions_per_s (the whole audit), plain_re_per_s, grep_per_s",
            "ratio_to_plain_re: CPU seconds of the plain loop / of the audit, median of the turns",
            "scaling_two_cores: seconds of `negwb audit` with one process / with two, median of the turns",
            "rss_mb: peak of a process that audits the file; rss_tenth_mb: of one that audits a tenth of it",
        ],
    }


def write_captions(path: Path, captions: int) -> int:
    """Write captions, one on each line; return the number of their words."""
    draw = random.Random(400)
    lines = [f"{make_caption(draw)}\n" for _ in range(min(captions, _DIFFERENT))]
    words = 0
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, captions, len(lines)):
            draw.shuffle(lines)
            block = "".join(lines[: captions - start])
            words += len(block.split())
            file.write(block)
    return words


def _share() -> str:
    draw = random.Random(400)
    found = sum(re.search(_WORDS, make_caption(draw)) is not None for _ in range(20_000))
    return f"{found / 200:.1f} %"


def _command(path: Path, processes: int, captions: int, words: int) -> None:
    command: list[str | Path] = [_NEGWB, "audit", path, "--processes", str(processes), "--json"]
    output = subprocess.run(command, check=True, capture_output=True, cwd=path.parent).stdout
    _check(AuditCounts.from_json(json.loads(output)["counts"]), captions, words)


def _check(counts: AuditCounts, captions: int, words: int) -> None:
    if (counts.captions, counts.words) != (captions, words):
        raise RuntimeError("the audit has lost captions or words")


def _plain(path: Path) -> int:
    search = re.compile(_WORDS, re.IGNORECASE).search
    found = 0
    with path.open(encoding="utf-8") as file:
        for line in file:
            if search(line):
                found += 1
    return found


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _grep_cpu(path: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # into a pipe: grep stops at the first match where the output is /dev/null
    subprocess.run([*_GREP, str(path)], stdout=subprocess.PIPE, check=True, env={**os.environ, "LC_ALL": "C"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return max(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1e-6)


def _peak_mb(path: Path) -> int:
    """Return the peak memory of a new process that audits the file."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return int(pool.apply(_audit_and_measure, (path,)))


def _audit_and_measure(path: Path) -> int:
    audit_corpus(parts_of(str(path)), AuditOptions())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
