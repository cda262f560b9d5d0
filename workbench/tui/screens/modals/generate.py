"""Dialog that starts a generation run: pipeline and limit. The engines are named in negwb.toml and shown here."""

from __future__ import annotations

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
from workbench.tui.screens.modals.list_form import ListForm

_PIPELINES = (
    ("P1", "deny something that is not in the image", "caption"),
    ("P2", "visual questions that annotators answered with no", "question"),
)
_DEFAULT_LIMIT = "100"


class GenerateModal(ListForm[GenerationOrder]):
    """Dismissed with the order to generate."""

    def __init__(self, supplies: GenerationInputs) -> None:
        super().__init__("generate")
        self._supplies = supplies

    def compose_body(self) -> ComposeResult:
        yield OptionList(
            *(Option(self._line(*each)) for each in _PIPELINES), id="pipelines", markup=False, compact=True
        )
        yield Static("how many captions or questions (empty: all of them)", markup=False, classes="dialog-label")
        yield Input(
            _DEFAULT_LIMIT,
            id="limit",
            max_length=12,
            restrict=r"\d*",
            valid_empty=True,
            validators=[Integer(minimum=1)],
        )
        yield Static(self._engines_line(), markup=False, classes="dialog-label")
        yield self.foot("↑ ↓ pipeline · enter start · esc cancel")

    def on_mount(self) -> None:
        """Start at the first pipeline with items."""
        self.options.highlighted = next(
            (at for at, (name, *_) in enumerate(_PIPELINES) if self._supplies.items.get(name)), 0
        )

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name, _, noun = _PIPELINES[self.options.highlighted or 0]
        if not self._supplies.items.get(name):
            self.notify(f"there is no {noun} to start from — see: negwb import --help", severity="error", markup=False)
        elif event.value.strip("0") or not event.value:  # a limit of 0 is neither no limit nor any item
            self.leave(GenerationOrder(pipeline=name, limit=int(event.value) if event.value else None))

    def _line(self, name: str, description: str, noun: str) -> Content:
        return Content.assemble(
            (name, "bold"), f"  {description}", (f" · {counted(self._supplies.items.get(name, 0), noun)}", QUIET)
        )

    def _engines_line(self) -> Content:
        supplies = self._supplies
        line = Content.assemble(
            plain(supplies.proposer, "bold", limit=30), f" proposes, {judges_line(supplies)} (negwb.toml)"
        )
        return Content.assemble(line, ("\n⚠ simulated: scripts, not models", WARN)) if supplies.scripted else line
