"""Plain mode: the loop that prints a card and reads an answer, line by line, on an `AnnotationSession`.

For dumb terminals, screen readers and pipes. Each decision is committed before the next card is printed, so neither the
end of the input nor Ctrl-C loses one.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from curation_db.enums import Kind, Reason
from curation_db.errors import NoLongerQueued, RecordError, RecordReplaced
from curation_db.language.sanitize import display_text
from workbench.annotation.plain import text
from workbench.annotation.plain.text import PlainAction, PlainInput
from workbench.annotation.wording import edit_outcome
from workbench.images.external_viewer import NoViewer, launch

if TYPE_CHECKING:
    from curation_db.review.decisions import DecisionResult
    from curation_db.search.cards import Card
    from workbench.annotation.models import PreparedCard
    from workbench.annotation.session import AnnotationSession

ReadLine = Callable[[str], str | None]
"""Shows a prompt and returns the next line; None: end of the input."""
WriteLine = Callable[[str], None]

_POLL_SECONDS = 0.25
_CARDS_TO_LEARN = 5
"""Cards with prompts that list the answers; a screen reader reads each prompt aloud."""
_CARD_ACTIONS = frozenset(
    {
        PlainAction.ACCEPT,
        PlainAction.REJECT,
        PlainAction.EDIT,
        PlainAction.UNSURE,
        PlainAction.SKIP,
        PlainAction.NOTE,
        PlainAction.FLAG,
        PlainAction.OPEN,
        PlainAction.FORWARD,
    }
)


class PlainLoop:
    def __init__(
        self,
        session: AnnotationSession,
        read_line: ReadLine,
        write_line: WriteLine,
        *,
        interactive: bool = True,
        drop_early: Callable[[], bool] = lambda: False,
        viewer: str = "",
    ) -> None:
        """Args:
        session: A started session.
        read_line: Reads the next line.
        write_line: Writes a line.
        interactive: The annotator reads each card before answering; False for prepared input.
        drop_early: Drops typed input that was not read yet; returns whether there was any.
        viewer: Program that opens an image; empty: the system's.
        """
        self._viewer = viewer
        self._failed_viewers: list[str] = []
        """Lines about programs that have failed since the last prompt; a thread adds them."""
        self._drop_early = drop_early
        self._seen: set[int] = set()
        """Candidates whose card was printed."""
        self._session = session
        self._read_line = read_line
        self._write = write_line
        self._interactive = interactive
        self._printed: PreparedCard | None = None
        """The card that was printed last."""
        self._ended = False
        """Whether the end of the queue was printed."""
        self._changed = threading.Event()

    def run(self) -> None:
        """Run until the annotator quits or the input ends.

        Raises:
            RecordReplaced: The record was replaced, moved or deleted meanwhile.
        """
        self._session.on_change = self._changed.set
        self._write("negwb, plain: one answer per line; ? lists them, q quits")
        try:
            while (answer := self._next_answer()) is not None:
                if answer.do is PlainAction.QUIT:
                    return
                self._answer(answer)
        finally:
            self._session.on_change = lambda: None

    @property
    def _is_learning(self) -> bool:
        return len(self._seen) <= _CARDS_TO_LEARN

    # -- lines --------------------------------------------------------------------------------------------------

    def _next_answer(self) -> PlainInput | None:
        """Print the current card if it is new, and read an answer; None: end of the input."""
        while True:
            self._print_current()
            while self._failed_viewers:
                self._write(self._failed_viewers.pop(0))
            line = self._read_line(text.PROMPT if self._is_learning else text.SHORT_PROMPT)
            if line is None:
                return None
            answer = text.parse_line(line)
            if answer is None:
                self._write("NOT KNOWN; ? lists the answers")
            elif answer.do in _CARD_ACTIONS and self._session.current is None:
                self._write("NO CARD to answer; r serves what you skipped, q quits")
            else:
                return answer

    def _print_current(self) -> None:
        ready = self._wait()
        if ready is None:
            if not self._ended:
                for line in text.end_lines(self._session.summary()):
                    self._write(line)
            self._ended, self._printed = True, None
        elif ready is not self._printed:
            self._ended, self._printed = False, ready
            self._print_card(ready)
            self._drop_unseen(ready)

    def _drop_unseen(self, ready: PreparedCard) -> None:
        """Drop input that was typed before a new card was printed."""
        is_new = ready.card.candidate_id not in self._seen and not self._session.seen_before
        self._seen.add(ready.card.candidate_id)
        if is_new and self._drop_early():
            self._write("NOT TAKEN: input that was typed before this card was printed")

    def _wait(self) -> PreparedCard | None:
        """Wait for the current card and return it; None: the end of the queue."""
        problem = None
        while (ready := self._session.current_card()) is None and not self._session.finished:
            if self._session.failure is not None:
                raise self._session.failure
            if self._session.replaced is not None:
                raise self._session.replaced
            if self._session.problem not in (None, problem):
                problem = self._session.problem
                self._write(f"WAITING {display_text(problem or '', limit=300)}")
            self._changed.wait(_POLL_SECONDS)
            self._changed.clear()
        return ready

    def _print_card(self, ready: PreparedCard) -> None:
        self._write("")
        progress = self._session.progress
        for line in text.card_lines(
            ready, decided=progress.decided, total=progress.total, role=self._session.actor.role
        ):
            self._write(line)

    # -- answers ------------------------------------------------------------------------------------------------

    def _answer(self, answer: PlainInput) -> None:
        try:
            self._run(answer)
        except RecordReplaced:
            raise
        except NoLongerQueued as error:
            self._refuse_settled(error)
        except RecordError as error:
            hint = f"; {error.hint}" if error.hint else ""
            self._write(f"REFUSED {display_text(error.message + hint, limit=400)}. Nothing was written.")
        except ValueError as error:
            self._write(f"REFUSED {display_text(str(error), limit=400)}. Nothing was written.")

    def _refuse_settled(self, error: NoLongerQueued) -> None:
        """Refuse an answer about a card that another annotator has settled meanwhile.

        An interactive annotator may answer again. Prepared input goes on with the next card, since otherwise each
        later answer would be about the card before its own.
        """
        if self._interactive:
            self._write(f"REFUSED {display_text(f'{error.message}; {error.hint}', limit=400)}")
        else:
            self._session.look_forward()
            self._write(f"REFUSED {display_text(error.message, limit=400)}; the next answer is about the next card")

    def _run(self, answer: PlainInput) -> None:
        match answer.do:
            case PlainAction.ACCEPT | PlainAction.UNSURE | PlainAction.SKIP:
                self._decide(
                    {PlainAction.ACCEPT: Kind.ACCEPT, PlainAction.UNSURE: Kind.UNSURE, PlainAction.SKIP: Kind.SKIP}[
                        answer.do
                    ]
                )
            case PlainAction.REJECT:
                self._reject(answer.rest)
            case PlainAction.EDIT:
                self._with_text(answer.rest, "new text, empty cancels: ", self._edit)
            case PlainAction.NOTE:
                self._with_text(answer.rest, "note, empty cancels: ", self._note)
            case PlainAction.FLAG:
                self._write("FLAGGED" if self._session.toggle_flag() else "NOT FLAGGED any more")
                self._printed = self._session.current  # printed already, except for the flag
            case PlainAction.OPEN:
                self._open_image()
            case PlainAction.UNDO:
                done = self._session.undo() is not None
                self._write(text.undo_line(self._session.reversed_action if done else None, back=True))
            case PlainAction.REDO:
                done = self._session.redo() is not None
                self._write(text.undo_line(self._session.reversed_action if done else None, back=False))
            case _:
                self._navigate(answer.do)

    def _navigate(self, do: PlainAction) -> None:
        match do:
            case PlainAction.BACK:
                if not self._session.look_back():
                    self._write("NOTHING earlier")
            case PlainAction.FORWARD:
                if not self._session.look_forward():
                    self._write("THIS is the newest card")
            case PlainAction.REVISIT:
                self._session.revisit()
                self._ended = False
            case PlainAction.CARD:
                if self._session.current is None:
                    self._session.look_again()
                self._ended, self._printed = False, None
            case _:
                for line in text.HELP:
                    self._write(line)

    def _decide(self, kind: Kind, reason: Reason | None = None) -> None:
        ready = self._session.current
        self._print_decision(kind, self._session.submit(kind, reason), reason)
        if ready is not None and ready.hidden and self._session.settings.reveal:
            self._reveal(ready.card)

    def _reject(self, word: str) -> None:
        while True:
            reason = text.parse_reason(word) if word else None
            if reason is not None:
                self._decide(Kind.REJECT, reason)
                return
            if word:
                self._write(f"REASONS {text.REASONS}" if word == PlainAction.HELP else "NO SUCH reason")
            line = self._read_line(text.REASON_PROMPT if self._is_learning else text.SHORT_REASON_PROMPT)
            if line is None or not line.strip():
                self._write("NOT REJECTED")
                return
            word = line.strip()

    def _with_text(self, given: str, prompt: str, action: Callable[[str], None]) -> None:
        new_text = given or (self._read_line(prompt) or "").strip()
        if new_text:
            action(new_text)
        else:
            self._write("CANCELLED")

    def _edit(self, new_text: str) -> None:
        result = self._session.edit(new_text)
        self._print_decision(Kind.EDIT, result)
        if result.child is not None:
            self._write(f"EDIT {edit_outcome(result.child)}")

    def _note(self, note: str) -> None:
        self._session.note(note)
        self._printed = self._session.current
        self._write("NOTED")

    def _open_image(self) -> None:
        ready = self._session.current
        path = ready.path if ready is not None else None
        try:
            program, process = launch(self._viewer, os.environ, path)
        except NoViewer as error:
            self._write(f"NOT OPENED {display_text(error.message, limit=300)}")
            return
        self._write(f"OPENED with {display_text(program, limit=60)}")
        threading.Thread(target=self._wait_for_viewer, args=(program, process, path), daemon=True).start()

    def _wait_for_viewer(self, program: str, process: subprocess.Popen[bytes], path: Path | None) -> None:
        if code := process.wait():
            self._failed_viewers.append(display_text(f"NOT OPENED {program} failed ({code}): {path}", limit=400))

    def _print_decision(self, kind: Kind, result: DecisionResult, reason: Reason | None = None) -> None:
        self._write(text.decision_line(kind, result.status.state, reason, late=result.late))
        if self._session.goal_reached:
            self._write(f"GOAL reached: {self._session.settings.goal:,} decisions in this session")

    def _reveal(self, card: Card) -> None:
        """Print the verdicts on the audit card that was just decided."""
        for verdict in card.verdicts:
            self._write(f"REVEALED {text.verdict_line(verdict, card.concept)}")
