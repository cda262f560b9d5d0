"""Starting a generation: which pipeline, how many. Who proposes and judges stands in negwb.toml, and is said here."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.validation import Integer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from curation_db.language.sanitize import counted
from workbench.jobs.generation import GenerationOrder
from workbench.jobs.generation_monitor import GenerationInputs
from workbench.tui.rendering.card_content import QUIET, WARN, plain
from workbench.tui.rendering.generation import judges_line
from workbench.tui.screens.modals.dialog import Dialog

_PIPELINES = (
    ("P1", "something that is not in the picture, denied", "caption"),
    ("P2", "questions that people answered with no", "question"),
)
_USUAL_LIMIT = "100"


class GenerateModal(Dialog[GenerationOrder]):
    """Dismissed with what is to be generated."""

    DEFAULT_CSS = """
    GenerateModal #pipelines { height: auto; background: $surface; border: none; padding: 0; }
    GenerateModal #pipelines > .option-list--option-highlighted { text-style: bold underline; }
    GenerateModal .dialog-label { margin-top: 1; }
    GenerateModal Input { height: 1; border: none; padding: 0 1; }
    GenerateModal Input:focus { border: none; background: $boost; }
    """
    BINDINGS: ClassVar = [("down", "move(1)", "next"), ("up", "move(-1)", "previous")]

    def __init__(self, supplies: GenerationInputs) -> None:
        super().__init__("generate")
        self._supplies = supplies

    def compose_body(self) -> ComposeResult:
        """The pipelines, the limit, who does it."""
        yield OptionList(
            *(Option(self._line(*each)) for each in _PIPELINES), id="pipelines", markup=False, compact=True
        )
        yield Static("how many captions or questions (empty: all of them)", markup=False, classes="dialog-label")
        yield Input(
            _USUAL_LIMIT,
            id="limit",
            max_length=12,
            restrict=r"\d*",
            valid_empty=True,
            validators=[Integer(minimum=1)],
        )
        yield Static(self._who(), markup=False, classes="dialog-label")
        yield self.foot("↑ ↓ pipeline · enter starts · esc leaves")

    def on_mount(self) -> None:
        """The list is moved through from the field; it begins where there is something to do."""
        listed = self.query_one(OptionList)
        listed.can_focus = False
        listed.highlighted = next((at for at, (name, *_) in enumerate(_PIPELINES) if self._supplies.items.get(name)), 0)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        event.stop()
        name, _, noun = _PIPELINES[self.query_one(OptionList).highlighted or 0]
        if not self._supplies.items.get(name):
            self.notify(f"there is no {noun} to begin with — see: negwb import --help", severity="error", markup=False)
        elif event.value.strip("0") or not event.value:  # 0 is none, and no limit either
            self.leave(GenerationOrder(pipeline=name, limit=int(event.value) if event.value else None))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click only chooses."""
        event.stop()

    def on_click(self, event: events.Click) -> None:
        """Nothing behind the dialog hears it."""
        event.stop()

    def action_move(self, by: int) -> None:
        """Up and down the pipelines."""
        listed = self.query_one(OptionList)
        (listed.action_cursor_down if by > 0 else listed.action_cursor_up)()

    def _line(self, name: str, says: str, noun: str) -> Content:
        return Content.assemble(
            (name, "bold"), f"  {says}", (f" · {counted(self._supplies.items.get(name, 0), noun)}", QUIET)
        )

    def _who(self) -> Content:
        told = self._supplies
        line = Content.assemble(plain(told.proposer, "bold", limit=30), f" proposes, {judges_line(told)} (negwb.toml)")
        return Content.assemble(line, ("\n⚠ simulated: scripts, no models", WARN)) if told.scripted else line
