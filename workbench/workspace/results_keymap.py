"""What a key does in the lab: generation, trainings, report. The counterpart of the list of curate in `actions`."""

from __future__ import annotations

from workbench.workspace.keymap import GENERATION, REPORT, RUNS, Action, ActionMap, KeyScope

_LOOK, _ELSE = "Look", "Everything else"
_GENERATE, _RUNS, _REPORT = frozenset({KeyScope.GENERATE}), frozenset({KeyScope.RUNS}), frozenset({KeyScope.REPORT})
_SLICES, _ITEMS, _ITEM = frozenset({KeyScope.SLICES}), frozenset({KeyScope.ITEMS}), frozenset({KeyScope.ITEM})
_DEEP = _SLICES | _ITEMS | _ITEM
_TOP = _GENERATE | _RUNS | _REPORT
_ANYWHERE = _TOP | _DEEP

# fmt: off
LAB_ACTIONS = (
    Action("generate", "n", "new", "Generate: choose a pipeline and how many", GENERATION, _GENERATE, "generate", 9),
    Action("generate-stop", "s", "stop", "Stop the run; it stores first what has arrived", GENERATION, _GENERATE,
           "stop", 8),
    Action("generate-go-on", "r", "go on", "Go on where a run ended, with its settings; nothing is asked twice",
           GENERATION, _GENERATE, "go_on", 8),
    Action("generate-more", "J,shift+down", "more", "Scroll what is said about the run down", GENERATION, _GENERATE,
           "scroll_about(4)", 2),
    Action("generate-less", "K,shift+up", "less", "And up again", GENERATION, _GENERATE, "scroll_about(-4)"),
    Action("train", "t", "train", "Start a training: choose a frozen set and a model", RUNS, _RUNS, "train", 9),
    Action("stop", "s", "stop", "Stop the run; it saves its state first", RUNS, _RUNS, "stop", 8),
    Action("resume", "r", "resume", "Go on with a run that stopped or failed", RUNS, _RUNS, "resume", 8),
    Action("open", "enter", "open", "Into the figures: slices, items, one item", REPORT, _REPORT | _SLICES | _ITEMS,
           "open", 9),
    Action("base", "b", "base", "Compare all others with the model of this row", REPORT, _REPORT, "base", 6),
    Action("reread", "f5", "read again", "Read the results anew", REPORT, _REPORT, "reread", 4),
    Action("more", "J,shift+down", "more", "Scroll what is said below down", REPORT, _REPORT, "scroll_about(1)"),
    Action("less", "K,shift+up", "less", "And up again", REPORT, _REPORT, "scroll_about(-1)"),
    Action("items", "i", "items", "All items of this result", REPORT, _REPORT | _SLICES, "items", 6),
    Action("all", "a", "all", "Every item", REPORT, _ITEMS, "only('all')", 7),
    Action("wrong", "w", "wrong", "The items answered wrong", REPORT, _ITEMS, "only('wrong')", 7),
    Action("right", "r", "right", "The items answered right", REPORT, _ITEMS, "only('right')", 7),
    Action("differs", "d", "differs", "The items on which base and model differ", REPORT, _ITEMS, "only('differs')", 7),
    Action("next", "down,j,space,right", "next", "The next item", REPORT, _ITEM, "step(1)", 8),
    Action("previous", "up,k,left", "previous", "The item before", REPORT, _ITEM, "step(-1)", 8),
    Action("back", "escape,backspace", "back", "To where you came from", _LOOK, _DEEP, "back", 8),
    Action("show-runs", "1,f3", "runs", "Trainings, live", _LOOK, _TOP, "show('runs')", 7),
    Action("show-report", "2,f4", "report", "What the models reach", _LOOK, _TOP, "show('report')", 7),
    Action("show-generate", "3,f6", "generate", "Negated captions proposed and judged, live", _LOOK, _TOP,
           "show('generate')", 7),
    Action("theme", "f2", "theme", "Dark or light", _ELSE, _ANYWHERE, "app.toggle_dark"),
    Action("palette", "ctrl+p", "palette", "All actions by name, and all themes", _ELSE, _ANYWHERE,
           "app.command_palette"),
    Action("help", "?,f1", "help", "This page", _ELSE, _ANYWHERE, "show_help", 5),
    Action("leave", "q", "quit", "Leave; what runs goes on", _ELSE, _TOP, "leave", 5),
    Action("back-too", "q", "back", "To where you came from", _ELSE, _DEEP, "back"),
)
# fmt: on


def results_actions() -> ActionMap:
    """The lab's keys."""
    return ActionMap(actions=LAB_ACTIONS)
