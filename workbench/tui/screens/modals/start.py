"""Dialog that starts a training run: export, base model and an optional name. The recipe is the published one."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from curation_db.language.sanitize import display_text
from workbench.jobs.training import TrainingOrder
from workbench.tui.screens.modals.list_form import ListForm


class StartModal(ListForm[TrainingOrder]):
    """Dismissed with the order to train."""

    def __init__(self, exports: Sequence[tuple[str, str]], models: Sequence[str]) -> None:
        """`exports`: names with content, newest last; `models`: names for completion, the first is the default."""
        super().__init__("start a training")
        self._exports = list(reversed(exports))
        self._models = list(models)

    def compose_body(self) -> ComposeResult:
        yield Static("export", markup=False)
        yield OptionList(*(Option(_line(*each)) for each in self._exports), id="exports", markup=False, compact=True)
        yield Static(
            "model: base, a finished run, a folder, a file, or NAME:PRETRAINED", markup=False, classes="dialog-label"
        )
        yield Input(self._models[0], id="model", suggester=SuggestFromList(self._models), max_length=1_000)
        yield Static("name of the run (empty: the next free one)", markup=False, classes="dialog-label")
        yield Input(id="name", max_length=100)
        yield self.foot("↑ ↓ export · tab next field · enter starts · esc leaves")

    def on_mount(self) -> None:
        self.options.highlighted = 0

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        at = self.options.highlighted or 0
        model = self.query_one("#model", Input).value.strip() or self._models[0]
        name = self.query_one("#name", Input).value.strip() or None
        self.leave(TrainingOrder(self._exports[at][0], model, name))


def _line(name: str, content: str) -> Content:
    return Content.assemble(display_text(name, limit=60), (f" · {display_text(content, limit=80)}", "$foreground 60%"))
