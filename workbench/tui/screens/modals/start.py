"""Dialog that starts a training run: export, model, recipe, settings, name; and what the training would cost.

The fields are checked while they are filled in, and a problem is shown below its field. The cost is measured on
request by a child process, which the dialog ends when it closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from curation_db.language.sanitize import display_text
from trainers.cost import TrainingCost
from trainers.recipes.recipe import TrainRecipe
from trainers.settings import RunConfig
from workbench.errors import NegwbError
from workbench.jobs.training.cost import CostCancelled, CostProbe
from workbench.jobs.training.form import NUMBERS, CheckedForm, FormField, check_form
from workbench.jobs.training.training import TrainingOrder
from workbench.tui.rendering.card_content import BAD, QUIET, WARN, plain
from workbench.tui.rendering.training_form import cost_content
from workbench.tui.screens.modals.dialog import Dialog
from workbench.tui.threads import run_in_daemon_thread
from workbench.workspace.layout import Workspace

_ROWS: Final = (
    (FormField.EXPORT,),
    (FormField.MODEL,),
    (FormField.RECIPE,),
    NUMBERS,
    (FormField.OTHER,),
    (FormField.NAME, FormField.DEVICE),
)
"""Fields in one line, with their problems below."""
_PLACEHOLDERS: Final = {
    FormField.MODEL: "base",
    FormField.RECIPE: "that of negwb.toml, or the published one",
    FormField.OTHER: "further settings: replay_share=0.5 keep=last",
    FormField.NAME: "the next free one",
    FormField.DEVICE: "cpu",
}
_REFRESH_S: Final = 0.2
_IDLE: Final = "f5 measures 3 steps"


class StartModal(Dialog[TrainingOrder]):
    """Dismissed with the order to train."""

    DEFAULT_CSS = """
    StartModal OptionList { width: 1fr; height: auto; max-height: 4; background: $surface; border: none; padding: 0; }
    StartModal OptionList > .option-list--option-highlighted { background: $surface; text-style: bold underline; }
    StartModal OptionList:focus { background-tint: $foreground 0%; }
    StartModal OptionList:focus > .option-list--option-highlighted {
        color: $foreground; background: $primary 22%; text-style: bold;
    }
    StartModal .row { height: auto; }
    StartModal .row > Static { width: 9; color: $text-muted; }
    StartModal .row > .next { width: auto; padding: 0 1; }
    StartModal Input { width: 1fr; height: 1; border: none; padding: 0 1; background: $background; }
    StartModal #lr { width: 1.5fr; }
    StartModal Input:focus { border: none; background: $boost; }
    StartModal .note { height: auto; padding-left: 9; color: $text-muted; display: none; }
    StartModal #summary { display: block; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    StartModal .row > #cost { width: 1fr; height: 2; color: $foreground; }
    StartModal.-tall .row { margin-top: 1; }
    StartModal.-tall .row:first-of-type { margin-top: 0; }
    """
    BINDINGS: ClassVar = [
        ("down", "choose(1)", "next"),
        ("up", "choose(-1)", "previous"),
        ("f5", "cost", "cost"),
    ]

    def __init__(
        self,
        workspace: Workspace,
        exports: Sequence[tuple[str, str]],
        models: Sequence[str],
        recipes: Sequence[TrainRecipe],
    ) -> None:
        """
        Args:
            workspace: where the training would run.
            exports: names with content, newest last.
            models: names for completion, the first is the default.
            recipes: recipes by name.
        """
        super().__init__("start a training", wide=True)
        self._workspace = workspace
        self._exports = list(reversed(exports))
        self._models = list(models)
        self._recipes = {recipe.name: recipe.summary for recipe in recipes}
        self._checked: CheckedForm | None = None
        self._probe: CostProbe | None = None
        """The measurement that is running."""
        self._line = ""
        """Newest line of the measurement's log."""
        self._cost: tuple[RunConfig, TrainingCost] | None = None
        self._cost_problem: NegwbError | None = None

    def compose_body(self) -> ComposeResult:
        options = [Option(_line(*each)) for each in self._exports]
        yield from self._row(FormField.EXPORT, OptionList(*options, id="export", markup=False, compact=True))
        yield from self._row(FormField.MODEL, self._input(FormField.MODEL, self._models, max_length=1_000))
        yield from self._row(FormField.RECIPE, self._input(FormField.RECIPE, list(self._recipes), max_length=1_000))
        yield Static(id="summary", markup=False, classes="note")
        yield from self._row(*(part for name in NUMBERS for part in (name, self._input(name, (), max_length=12))))
        yield from self._row(FormField.OTHER, self._input(FormField.OTHER, (), max_length=1_000))
        yield from self._row(
            FormField.NAME,
            self._input(FormField.NAME, (), max_length=100),
            FormField.DEVICE,
            self._input(FormField.DEVICE, ("cpu", "cuda"), max_length=30),
        )
        with Horizontal(classes="row", id="cost-row"):
            yield Static("cost", markup=False)
            yield Static(_IDLE, id="cost", markup=False)
        yield self.foot("tab next field · ↑ ↓ choose · f5 cost · enter start · esc cancel")

    def _row(self, *parts: FormField | Widget) -> ComposeResult:
        first = parts[0]
        assert isinstance(first, FormField)
        with Horizontal(classes="row"):
            for part in parts:
                if isinstance(part, FormField):
                    yield Static(part, markup=False, classes="" if part is first else "next")
                else:
                    yield part
        yield Static(id=f"{first}-problem", markup=False, classes="note")

    def _input(self, name: FormField, known: Sequence[str], *, max_length: int) -> Input:
        suggester = SuggestFromList(known) if known else None
        return Input(id=name, max_length=max_length, suggester=suggester, placeholder=_PLACEHOLDERS.get(name, ""))

    def on_mount(self) -> None:
        """Check the defaults."""
        self.query_one(OptionList).highlighted = 0
        self.set_interval(_REFRESH_S, self._show_measuring)
        self._check()

    def first_field(self) -> Widget | None:
        return self.query_one(OptionList)

    def on_unmount(self) -> None:
        if self._probe is not None:
            self._probe.cancel()

    def on_click(self, event: events.Click) -> None:
        """Keep clicks from the screen behind the dialog."""
        event.stop()

    # -- filling in ------------------------------------------------------------------------------------------------

    def _values(self) -> dict[FormField, str]:
        at = self.query_one(OptionList).highlighted or 0
        texts = {FormField(str(field.id)): field.value for field in self.query(Input)}
        return {FormField.EXPORT: self._exports[at][0], **texts}

    def action_choose(self, by: int) -> None:
        """Move in the list of exports; in the model and the recipe, take the next known value."""
        known = {FormField.MODEL: self._models, FormField.RECIPE: ["", *self._recipes]}
        field = self.focused
        if isinstance(field, Input) and field.id in known:
            values = known[FormField(field.id)]
            at = values.index(field.value) + by if field.value in values else 0
            field.value = values[at % len(values)]
            field.cursor_position = len(field.value)
            return
        exports = self.query_one(OptionList)
        (exports.action_cursor_down if by > 0 else exports.action_cursor_up)()

    @on(Input.Changed)
    @on(OptionList.OptionHighlighted)
    def _changed(self) -> None:
        self._check()

    @work(exclusive=True, group="check")
    async def _check(self) -> None:
        await self._check_now()

    async def _check_now(self) -> CheckedForm:
        """Check the present values, show the problems, and return the result."""
        values = self._values()
        checked = await run_in_daemon_thread(partial(check_form, self._workspace, values))
        if self.is_whole and values == self._values():
            self._checked = checked
            self._show_checked(values, checked)
        return checked

    def _show_checked(self, values: Mapping[FormField, str], checked: CheckedForm) -> None:
        for row in _ROWS:
            problems = [checked.problems[name] for name in row if name in checked.problems]
            note = self.query_one(f"#{row[0]}-problem", Static)
            note.display = bool(problems)
            note.update(Content("\n").join(_problem(each) for each in problems))
        for name, default in checked.defaults.items():
            self.query_one(f"#{name}", Input).placeholder = default
        summary = self._recipes.get(values[FormField.RECIPE].strip(), "")
        self.query_one("#summary").display = bool(summary)
        self.query_one("#summary", Static).update(plain(summary, QUIET, limit=200))
        self._show_cost()

    # -- starting --------------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    @work(exclusive=True, group="submit")
    async def _submit(self, event: events.Event) -> None:
        checked = await self._check_now()
        if checked.order is not None:
            self.leave(checked.order)
        else:
            self._focus_problem(checked)

    def _focus_problem(self, checked: CheckedForm) -> None:
        first = next((name for row in _ROWS for name in row if name in checked.problems), None)
        if first is not None and self.is_whole:
            self.set_focus(self.query_one(f"#{first}"))

    # -- the cost --------------------------------------------------------------------------------------------------

    @work(group="cost")
    async def action_cost(self) -> None:
        """Measure the cost of the training; while that runs, cancel it."""
        if self._probe is not None:
            self._probe.cancel()
            return
        checked = await self._check_now()
        if checked.config is None:
            self._focus_problem(checked)
            return
        probe = self._probe = CostProbe(checked.config)
        self._line, self._cost, self._cost_problem = "starting", None, None
        self._show_cost()
        try:
            self._cost = checked.config, await run_in_daemon_thread(partial(probe.run, self._set_line))
        except CostCancelled:
            pass
        except (NegwbError, OSError) as error:
            self._cost_problem = error if isinstance(error, NegwbError) else NegwbError(str(error))
        self._probe = None
        if self.is_whole:
            self._show_cost()

    def _set_line(self, line: str) -> None:
        """Called in the thread of the measurement."""
        self._line = line

    def _show_measuring(self) -> None:
        if self._probe is not None and self.is_whole:
            self._show_cost()

    def _show_cost(self) -> None:
        self.query_one("#cost", Static).update(self._cost_content())

    def _cost_content(self) -> Content:
        if self._probe is not None:
            return Content.assemble(plain(f"{self._line} …", limit=120), ("\nf5 cancels", QUIET))
        if self._cost_problem is not None:
            return _problem(self._cost_problem)
        if self._cost is None:
            return Content.styled(_IDLE, QUIET)
        config, cost = self._cost
        content = cost_content(cost)
        if self._checked is not None and self._checked.config != config:
            return Content.assemble(content.split("\n")[0], ("\nof other settings; f5 measures again", WARN))
        return content


def _line(name: str, content: str) -> Content:
    return Content.assemble(display_text(name, limit=60), (f" · {display_text(content, limit=80)}", "$foreground 70%"))


def _problem(error: NegwbError) -> Content:
    text = f"{error.message} — {error.hint}" if error.hint else error.message
    return Content.assemble(("✗ ", f"bold {BAD}"), plain(text, limit=300))
