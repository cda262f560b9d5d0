"""An audit in several processes, stopped and resumed, gives the result of one that ran through."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from curation_db.corpus_audit import run
from curation_db.corpus_audit.collector import SampleSizes
from curation_db.corpus_audit.part_result import AuditOptions, StateFolder
from curation_db.corpus_audit.parts import Part, SourceForm, parts_of
from curation_db.corpus_audit.run import audit_corpus
from curation_db.importing.rows import InputError

OPTIONS = AuditOptions(sizes=SampleSizes(per_cue=3))
TEXTS = ["a dog with no leash", "a cat on a sofa", "nobody is here", "an untied shoe", "a tree"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(4):
        lines = [f"{TEXTS[(number + at) % 5]} {number} {at}" for at in range(120)]
        (folder / f"{number}.txt").write_text("\n".join([*lines, "\ud800"]), errors="surrogatepass")
    return folder


def parts(corpus: Path) -> list[Part]:
    return parts_of(str(corpus), part_bytes=1000)


def test_processes_give_the_result_of_one(corpus: Path) -> None:
    done: list[tuple[int, int]] = []
    one = audit_corpus(parts(corpus), OPTIONS)
    two = audit_corpus(parts(corpus), OPTIONS, processes=2, progress=lambda *step: done.append(step))
    assert two.total.to_json() == one.total.to_json()
    assert one.total.counts.captions == 480
    assert [bad.origin.shown() for bad in two.total.listed] == [f"{number}.txt, line 121" for number in range(4)]
    assert done[-1][0] == done[-1][1] == sum(path.stat().st_size for path in corpus.iterdir())
    assert done == sorted(done)


def test_a_second_run_reads_only_what_changed(corpus: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = audit_corpus(parts(corpus), OPTIONS, state=state)
    assert first.resumed == 0
    again = audit_corpus(parts(corpus), OPTIONS, state=state)
    assert again.resumed == again.parts == first.parts
    assert again.total.to_json() == first.total.to_json()
    (corpus / "2.txt").write_text("nothing\n")
    changed = audit_corpus(parts(corpus), OPTIONS, state=state)
    assert changed.parts - changed.resumed == 1
    assert changed.total.counts.captions == 361
    other = AuditOptions(sizes=SampleSizes(per_cue=2))
    assert audit_corpus(parts(corpus), other, state=state).resumed == 0


def test_a_damaged_state_file_is_read_again(corpus: Path, tmp_path: Path) -> None:
    first = audit_corpus(parts(corpus), OPTIONS, state=tmp_path)
    folder = StateFolder(tmp_path, OPTIONS)
    for part, content in zip(parts(corpus), ["", "{}", "[1", '{"counts": {"captions": -1}}'], strict=False):
        folder.path(part).write_text(content)
    again = audit_corpus(parts(corpus), OPTIONS, state=tmp_path)
    assert again.resumed == again.parts - 4
    assert again.total.to_json() == first.total.to_json()


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_bad_file_does_not_stop_the_others(corpus: Path, processes: int) -> None:
    (corpus / "0.csv").write_text("one,two\n1,2\n")
    (corpus / "x.csv").write_text("one,two\n1,2\n")
    (corpus / "0.txt").unlink()
    result = audit_corpus(parts(corpus), OPTIONS, processes=processes)
    assert [(fault.file, fault.message) for fault in result.faults] == [
        ("0.csv", "no column holds captions"),
        ("x.csv", "no column holds captions"),
    ]
    assert result.total.counts.captions == 360
    for number in (1, 2, 3):
        (corpus / f"{number}.txt").unlink()
    with pytest.raises(InputError, match=r"0\.csv: no column holds captions"):
        audit_corpus(parts(corpus), OPTIONS, processes=processes)


def test_a_dead_process_is_reported(corpus: Path) -> None:
    fifo = corpus / "9.txt"
    os.mkfifo(fifo)
    slow = Part("9.txt", str(fifo), SourceForm.TEXT, 0, 1, "")
    code = textwrap.dedent(f"""
        import os, signal, threading, time, multiprocessing
        from curation_db.corpus_audit.parts import parts_of, Part, SourceForm
        from curation_db.corpus_audit.run import audit_corpus
        from curation_db.corpus_audit.part_result import AuditOptions
        def kill():
            while not multiprocessing.active_children():
                time.sleep(0.01)
            time.sleep(0.2)
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)
        if __name__ == "__main__":
            threading.Thread(target=kill).start()
            slow = {slow!r}
            try:
                audit_corpus([slow, slow], AuditOptions(), processes=2)
            except Exception as error:
                print(type(error).__name__, error)
    """).replace("<SourceForm.TEXT: 'text'>", "SourceForm.TEXT")
    path = corpus.parent / "dead.py"
    path.write_text(code)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout.startswith("InputError the process that read 9.txt ended with exit code -9"), done.stderr


RUN = """
import json, sys
from curation_db.corpus_audit.collector import SampleSizes
from curation_db.corpus_audit.parts import parts_of
from curation_db.corpus_audit.part_result import AuditOptions
from curation_db.corpus_audit.run import audit_corpus
from pathlib import Path
if __name__ == "__main__":
    parts = parts_of(sys.argv[1], part_bytes=20_000)
    result = audit_corpus(parts, AuditOptions(sizes=SampleSizes(per_cue=3)), processes=2, state=Path(sys.argv[2]))
    print(json.dumps([result.resumed, result.total.to_json()]))
"""


PAGE_FAULTS = """
import sys
from resource import RUSAGE_SELF, getrusage
from curation_db.corpus_audit.audit_part import audit_part
from curation_db.corpus_audit.part_result import AuditOptions
from curation_db.corpus_audit.parts import parts_of

counts = []
for part in parts_of(sys.argv[1], part_bytes=1 << 20):
    before = getrusage(RUSAGE_SELF).ru_minflt
    audit_part(part, AuditOptions())
    counts.append(getrusage(RUSAGE_SELF).ru_minflt - before)
print(min(counts))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other limits")
def test_the_arrays_of_a_block_take_the_memory_of_the_block_before(tmp_path: Path) -> None:
    """Without this, a part of 1 MiB has about 2,000 page faults, which are a fifth of the time."""
    path = tmp_path / "captions.txt"
    path.write_text(
        "".join(f"a {'very ' * (at % 7)}old dog {'without a leash' * (at % 60 == 0)}\n" for at in range(100_000))
    )
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500


@pytest.mark.long
def test_a_killed_run_continues_with_equal_numbers(tmp_path: Path) -> None:
    corpus, state, script = tmp_path / "a.txt", tmp_path / "state", tmp_path / "run.py"
    corpus.write_text("".join(f"{TEXTS[at % 5]} {at}\n" for at in range(15_000)))
    script.write_text(RUN)
    command = [sys.executable, str(script), str(corpus)]
    with subprocess.Popen([*command, str(state)], start_new_session=True, stdout=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 40
        while len(list(state.glob("*.json"))) < 3 and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGKILL)
    kept = len(list(state.glob("*.json")))
    done = subprocess.run([*command, str(state)], capture_output=True, text=True, check=True)
    resumed, result = json.loads(done.stdout)
    assert 3 <= kept <= resumed
    assert result == audit_corpus(parts_of(str(corpus), part_bytes=20_000), OPTIONS).total.to_json()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the mask of another process is in /proc")
def test_ctrl_c_does_not_reach_a_process_that_is_starting(tmp_path: Path) -> None:
    work = run._Work(AuditOptions(sizes=SampleSizes()), None, None)
    with run._workers(1, work) as workers:
        (process,) = workers.values()
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk")).split()[1], 16)
    assert blocked >> (signal.SIGINT - 1) & 1
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
