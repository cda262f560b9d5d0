"""A sitting in plain lines: one card, one prompt, one answer per line. The same `AnnotationSession` as the app's,
without a screen.

Reads lines and writes lines, whatever they come from: a dumb terminal, a screen reader, a pipe. Every decision is on
the disk before the next card is told, so the end of the lines and Ctrl-C lose nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from curation_db.enums import Kind, Reason
from curation_db.errors import NoLongerQueued, RecordError, RecordReplaced
from curation_db.language.sanitize import display_text
from workbench.annotation.plain import text
from workbench.annotation.plain.text import PlainAction, PlainInput
from workbench.annotation.wording import edit_outcome

if TYPE_CHECKING:
    from curation_db.review.decisions import DecisionResult
    from curation_db.search.cards import Card
    from workbench.annotation.models import PreparedCard
    from workbench.annotation.session import AnnotationSession

Ask = Callable[[str], str | None]
"""Shows a prompt and returns the line that came; None: there are no more."""
Tell = Callable[[str], None]

_LOOK_SECONDS = 0.25
_NEED_CARD = frozenset(
    {
        PlainAction.ACCEPT,
        PlainAction.REJECT,
        PlainAction.EDIT,
        PlainAction.UNSURE,
        PlainAction.SKIP,
        PlainAction.NOTE,
        PlainAction.FLAG,
        PlainAction.FORWARD,
    }
)


class PlainLoop:
    """One person at a desk, by lines."""

    def __init__(
        self,
        session: AnnotationSession,
        ask: Ask,
        tell: Tell,
        *,
        interactive: bool = True,
        drop_early: Callable[[], bool] = lambda: False,
    ) -> None:
        """The sitting at `desk`.

        Args:
            desk: Where the person decides.
            ask: Reads the next line.
            tell: Writes a line.
            interactive: Who answers reads what is told, unlike lines written before.
            drop_early: Drops what was typed and not yet read; whether there was anything.
        """
        self._drop_early = drop_early
        self._seen: set[int] = set()
        """Candidates whose card was printed."""
        self._session = session
        self._ask = ask
        self._tell = tell
        self._interactive = interactive
        self._told: PreparedCard | None = None
        """The card that was told last."""
        self._ended = False
        """The end of the queue was told."""
        self._news = threading.Event()

    def run(self) -> None:
        """Until the person leaves or the lines end.

        Raises:
            RecordReplaced: the record was replaced, moved or deleted meanwhile.
        """
        self._session.on_change = self._news.set
        self._tell("negwb, plain: one answer per line; ? tells them all, q leaves")
        try:
            while (answer := self._next_answer()) is not None:
                if answer.do is PlainAction.QUIT:
                    return
                self._answer(answer)
        finally:
            self._session.on_change = lambda: None

    # -- lines --------------------------------------------------------------------------------------------------

    def _next_answer(self) -> PlainInput | None:
        """Show what is in the seat where that is new, and ask; None: the lines have ended."""
        while True:
            self._show_seat()
            line = self._ask(text.PROMPT)
            if line is None:
                return None
            answer = text.understand(line)
            if answer is None:
                self._tell("NOT KNOWN; ? tells the answers")
            elif answer.do in _NEED_CARD and self._session.current is None:
                self._tell("NO CARD is there for that; r brings what you passed, q leaves")
            else:
                return answer

    def _show_seat(self) -> None:
        ready = self._wait()
        if ready is None:
            if not self._ended:
                for line in text.end_lines(self._session.summary()):
                    self._tell(line)
            self._ended, self._told = True, None
        elif ready is not self._told:
            self._ended, self._told = False, ready
            self._tell_card(ready)
            self._drop_unseen(ready)

    def _drop_unseen(self, ready: PreparedCard) -> None:
        """A line that was typed before a new card was printed cannot be about it."""
        new = ready.card.candidate_id not in self._seen and not self._session.seen_before
        self._seen.add(ready.card.candidate_id)
        if new and self._drop_early():
            self._tell("NOT TAKEN: what was typed before this card was shown")

    def _wait(self) -> PreparedCard | None:
        """The card in the seat, once it is there; None: the end of the queue."""
        trouble = None
        while (ready := self._session.current_card()) is None and not self._session.finished:
            if self._session.failure is not None:
                raise self._session.failure
            if self._session.replaced is not None:
                raise self._session.replaced
            if self._session.trouble not in (None, trouble):
                trouble = self._session.trouble
                self._tell(f"WAITING {display_text(trouble or '', limit=300)}")
            self._news.wait(_LOOK_SECONDS)
            self._news.clear()
        return ready

    def _tell_card(self, ready: PreparedCard) -> None:
        self._tell("")
        progress = self._session.progress
        for line in text.card_lines(
            ready, decided=progress.decided, total=progress.total, role=self._session.actor.role
        ):
            self._tell(line)

    # -- answers ------------------------------------------------------------------------------------------------

    def _answer(self, answer: PlainInput) -> None:
        try:
            self._act(answer)
        except RecordReplaced:
            raise
        except NoLongerQueued as error:
            self._refuse_unasked(error)
        except RecordError as error:
            hint = f"; {error.hint}" if error.hint else ""
            self._tell(f"REFUSED {display_text(error.message + hint, limit=400)}. Nothing was written.")
        except ValueError as error:
            self._tell(f"REFUSED {display_text(str(error), limit=400)}. Nothing was written.")

    def _refuse_unasked(self, error: NoLongerQueued) -> None:
        """The card was decided meanwhile: a person is asked again, lines that were written before go on with the next.

        Otherwise each of these would be about the card before the one that it was written for.
        """
        if self._interactive:
            self._tell(f"REFUSED {display_text(f'{error.message}; {error.hint}', limit=400)}")
        else:
            self._session.look_forward()
            self._tell(f"REFUSED {display_text(error.message, limit=400)}; the next answer is about the next card")

    def _act(self, answer: PlainInput) -> None:
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
                self._with_words(answer.rest, "new text, empty leaves it: ", self._edit)
            case PlainAction.NOTE:
                self._with_words(answer.rest, "note, empty leaves it: ", self._note)
            case PlainAction.FLAG:
                self._tell("FLAGGED" if self._session.toggle_flag() else "NOT FLAGGED any more")
                self._told = self._session.current  # told already, but for the flag
            case PlainAction.UNDO:
                self._tell(text.travelled(self._session.undo(), back=True))
            case PlainAction.REDO:
                self._tell(text.travelled(self._session.redo(), back=False))
            case _:
                self._look(answer.do)

    def _look(self, do: PlainAction) -> None:
        match do:
            case PlainAction.BACK:
                if not self._session.look_back():
                    self._tell("NOTHING further back")
            case PlainAction.FORWARD:
                if not self._session.look_forward():
                    self._tell("THIS is the newest card")
            case PlainAction.REVISIT:
                self._session.revisit()
                self._ended = False
            case PlainAction.CARD:
                if self._session.current is None:
                    self._session.look_again()
                self._ended, self._told = False, None
            case _:
                for line in text.HELP:
                    self._tell(line)

    def _decide(self, kind: Kind, reason: Reason | None = None) -> None:
        ready = self._session.current
        done = self._session.submit(kind, reason)
        self._tell_done(kind, done, reason)
        if ready is not None and ready.hidden and self._session.settings.reveal:
            self._reveal(ready.card)

    def _reject(self, word: str) -> None:
        while True:
            reason = text.reason_of(word) if word else None
            if reason is not None:
                self._decide(Kind.REJECT, reason)
                return
            if word:
                self._tell("NO SUCH reason")
            line = self._ask(f"{text.REASON_PROMPT}, empty leaves it: ")
            if line is None or not line.strip():
                self._tell("NOT REJECTED")
                return
            word = line.strip()

    def _with_words(self, words: str, prompt: str, act: Callable[[str], None]) -> None:
        told = words or (self._ask(prompt) or "").strip()
        if told:
            act(told)
        else:
            self._tell("LEFT as it was")

    def _edit(self, words: str) -> None:
        done = self._session.edit(words)
        self._tell_done(Kind.EDIT, done)
        if done.child is not None:
            self._tell(f"EDIT {edit_outcome(done.child)}")

    def _note(self, words: str) -> None:
        self._session.note(words)
        self._told = self._session.current
        self._tell("NOTED")

    def _tell_done(self, kind: Kind, done: DecisionResult, reason: Reason | None = None) -> None:
        self._tell(text.did(kind, done.status.state, reason, late=done.late))

    def _reveal(self, card: Card) -> None:
        """What the judges say about the audit card that was just decided."""
        for opinion in card.verdicts:
            self._tell(f"REVEALED {text.opinion_line(opinion, card.concept)}")
