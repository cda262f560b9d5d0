"""All actions of the screens with their keys. Bindings, key hints, help pages and the command palette come from here.

An action's id is stable: `[curate.keys]` in negwb.toml maps keys to it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from curation_db.enums import CAUSE_KEYS, CAUSE_TEXTS, DECISION_TEXTS, REASON_KEYS, REASON_TEXTS, Kind
from workbench.errors import UsageError
from workbench.workspace.own_commands import OwnCommand


class KeyScope(StrEnum):
    """The part of a screen in which an action applies."""

    CARD = "card"
    REASON = "reason"
    """The choice of a reason after `x`."""
    COPY = "copy"
    """The choice of what to copy after `y`."""
    DONE = "done"
    """The end of the queue."""
    CARD_ZOOM = "card_zoom"
    """The image of a card on the whole screen; the keys that decide stay in force."""
    PROBE = "probe"
    """A question after an accept: is a sentence true of the image?"""
    EDIT = "edit"
    """The text of a card is edited: its fields take all keys."""
    PROGRESS = "progress"
    BROWSE = "browse"
    GUIDELINES = "guidelines"
    SETTINGS = "settings"
    ADJUDICATE = "adjudicate"
    ADJUDICATE_ZOOM = "adjudicate_zoom"
    """The image of a disputed card on the whole screen; the keys that decide stay in force."""
    CAUSE = "cause"
    """The choice of a cause after an adjudicator's decision."""
    TALLY = "tally"
    """The votes on a card, after the adjudicator's decision."""
    HISTORY = "history"
    GENERATE = "generate"
    RUNS = "runs"
    COMPARE = "compare"
    REPORT = "report"
    RETENTION = "retention"
    ORIGIN = "origin"
    """The training data of a run."""
    DECISIONS = "decisions"
    """The decisions that chose the training data of a run."""
    SLICES = "slices"
    ITEMS = "items"
    ITEM = "item"
    MASK_ITEM = "mask_item"
    """An item of referring segmentation."""


class Tab(StrEnum):
    """The screens that the digits open, in the order of the top line: 1 opens the first, 0 the tenth."""

    CURATE = "curate"
    BROWSE = "browse"
    ADJUDICATE = "adjudicate"
    PROGRESS = "progress"
    HISTORY = "history"
    GUIDELINES = "guidelines"
    SETTINGS = "settings"
    GENERATE = "generate"
    RUNS = "runs"
    REPORT = "report"


RESULT_TABS = (Tab.GENERATE, Tab.RUNS, Tab.REPORT)
"""The results screens, which also open without an annotation session."""


@dataclass(frozen=True, slots=True)
class Action:
    id: str
    keys: str
    """Comma-separated key names of Textual."""
    label: str
    """One or two words for the key hints."""
    help: str
    """One line for help, palette and tooltips."""
    group: str
    scopes: frozenset[KeyScope]
    call: str
    """The action method of the screen or the app."""
    weight: int = 0
    """Where the key hints lack room, those of the smallest weight are left out; 0: never among the key hints."""
    tab: Tab | None = None
    """The tab that the action opens."""
    refused: bool = False
    """Whether the action only shows why it does not apply, because nothing is written."""


# -- the actions ----------------------------------------------------------------------------------------------------

_MEANING = {kind: text[0].upper() + text[1:] for kind, text in DECISION_TEXTS.items()}
_CARD = frozenset({KeyScope.CARD})
_DONE = frozenset({KeyScope.DONE})
_CARD_ZOOM, _ADJUDICATE_ZOOM = frozenset({KeyScope.CARD_ZOOM}), frozenset({KeyScope.ADJUDICATE_ZOOM})
_CURATE = _CARD | _DONE
_SIDE = frozenset(
    {KeyScope.BROWSE, KeyScope.ADJUDICATE, KeyScope.PROGRESS, KeyScope.HISTORY, KeyScope.GUIDELINES, KeyScope.SETTINGS}
)
"""The side screens, which open over the card."""
_PROBE = frozenset({KeyScope.PROBE})
_ANY_CARD = _CURATE | _CARD_ZOOM | _PROBE
_ZOOMED = _CARD_ZOOM | _ADJUDICATE_ZOOM
_ON_CARD = _CARD | _CARD_ZOOM
_EVERYWHERE = _CURATE | _SIDE | _ZOOMED
_GUIDELINES = frozenset({KeyScope.GUIDELINES})
_PROGRESS = frozenset({KeyScope.PROGRESS})
_SETTINGS = frozenset({KeyScope.SETTINGS})
_ADJUDICATE, _CAUSE, _TALLY = frozenset({KeyScope.ADJUDICATE}), frozenset({KeyScope.CAUSE}), frozenset({KeyScope.TALLY})
_DISPUTED = _ADJUDICATE | _ADJUDICATE_ZOOM
_HISTORY = frozenset({KeyScope.HISTORY})
_SCROLLED = _GUIDELINES | _PROGRESS | _HISTORY
_BROWSE = frozenset({KeyScope.BROWSE})
_COPYING, _EDITING = frozenset({KeyScope.COPY}), frozenset({KeyScope.EDIT})
_DECIDE, _LOOK, _ELSE, _REASON = "Decide", "Look", "Everything else", "Reject because"
_COPY, _EDIT = "Copy", "Edit the caption"
_SCREEN, _IMAGE, _SETTLE, _WHY = "Screens", "The image", "Adjudicate", "Why they disagreed"
_GENERATION, _TRAINING, _RESULTS = "Generation", "Training runs", "Report"
OWN_GROUP = "Your commands"

_GENERATE, _RUNS, _REPORT = frozenset({KeyScope.GENERATE}), frozenset({KeyScope.RUNS}), frozenset({KeyScope.REPORT})
_SLICES, _ITEMS, _BOX_ITEM = frozenset({KeyScope.SLICES}), frozenset({KeyScope.ITEMS}), frozenset({KeyScope.ITEM})
_MASK_ITEM = frozenset({KeyScope.MASK_ITEM})
_ITEM = _BOX_ITEM | _MASK_ITEM
_COMPARE = frozenset({KeyScope.COMPARE})
_RETENTION = frozenset({KeyScope.RETENTION})
_ORIGIN, _DECISIONS = frozenset({KeyScope.ORIGIN}), frozenset({KeyScope.DECISIONS})
_DEEP = _SLICES | _ITEMS | _ITEM | _COMPARE | _RETENTION | _ORIGIN | _DECISIONS
_TOP = _GENERATE | _RUNS | _REPORT
_RESULT_SCREENS = _TOP | _DEEP

_TAB_HELP = {
    Tab.CURATE: "The card that waits for your decision",
    Tab.BROWSE: "All candidates, with filters and bulk decisions",
    Tab.ADJUDICATE: "Decide the cards on which annotators disagree",
    Tab.PROGRESS: "Speed, time left, balance, agreement, judges",
    Tab.HISTORY: "All events of a card",
    Tab.GUIDELINES: "The rules for accepting and rejecting",
    Tab.SETTINGS: "All settings, where each is set, and your keys",
    Tab.GENERATE: "Generation runs, live",
    Tab.RUNS: "Training runs, live",
    Tab.REPORT: "Results of the models by task",
}
_TAB_ACTIONS = tuple(
    Action(
        f"screen-{tab}",
        str(number % 10),
        str(tab),
        _TAB_HELP[tab],
        _SCREEN,
        _CURATE | _SIDE | _RESULT_SCREENS,
        f"app.open_tab('{tab}')",
        tab=tab,
    )
    for number, tab in enumerate(Tab, 1)
)
"""One digit per tab; it opens the tab from every screen that has a top line."""

_ROWS = _SETTINGS | _GENERATE | _RUNS | _COMPARE | _REPORT | _SLICES | _ITEMS | _ORIGIN | _DECISIONS
"""Screens with one table."""
# fmt: off
_ROW_ACTIONS = (
    Action("row-down", "down,j", "down", "To the next row", _LOOK, _ROWS, "move_row(1)"),
    Action("row-up", "up,k", "up", "To the previous row", _LOOK, _ROWS, "move_row(-1)"),
    Action("row-page-down", "pagedown", "page down", "A page of rows down", _LOOK, _ROWS, "page_rows(1)"),
    Action("row-page-up", "pageup", "page up", "A page of rows up", _LOOK, _ROWS, "page_rows(-1)"),
    Action("row-first", "home", "first", "To the first row", _LOOK, _ROWS, "move_row(-1000000000)"),
    Action("row-last", "end", "last", "To the last row", _LOOK, _ROWS, "move_row(1000000000)"),
    Action("row-top", "g", "top", "To the first row", _LOOK, _ROWS - _RUNS, "move_row(-1000000000)"),
    Action("row-bottom", "G", "bottom", "To the last row", _LOOK, _ROWS - _RUNS, "move_row(1000000000)"),
)
_CURATE_ACTIONS = (
    Action("accept", "a", "accept", _MEANING[Kind.ACCEPT], _DECIDE, _ON_CARD,
           "decide('accept')", 9),
    Action("reject", "x", "reject", _MEANING[Kind.REJECT], _DECIDE, _ON_CARD,
           "ask_reason", 9),
    Action("repeat-reason", "full_stop", "same reason", "Reject with the reason of your last rejection", _DECIDE,
           _ON_CARD, "repeat_reason"),
    Action("edit", "e", "edit", "Correct the text; your version replaces it", _DECIDE, _ON_CARD, "edit", 8),
    Action("edit-outside", "E", "editor", "Correct the text in $VISUAL or $EDITOR", _DECIDE, _ON_CARD, "edit_outside"),
    Action("unsure", "u", "unsure", _MEANING[Kind.UNSURE], _DECIDE, _ON_CARD,
           "decide('unsure')", 8),
    Action("skip", "space", "skip", _MEANING[Kind.SKIP], _DECIDE, _ON_CARD,
           "decide('skip')", 8),
    Action("probe-true", "t", "true", "The sentence is true of the image", _DECIDE, _PROBE, "answer_probe(True)", 9),
    Action("probe-false", "f", "false", "The sentence is false", _DECIDE, _PROBE, "answer_probe(False)", 9),
    Action("probe-skip", "escape", "skip", "Ask nothing more about this card", _DECIDE, _PROBE, "skip_probe", 9),
    Action("undo", "z", "undo", "Undo your last action and show its card again", _DECIDE, _ANY_CARD,
           "undo", 8),
    Action("redo", "Z,ctrl+y", "redo", "Redo what you undid last", _DECIDE, _ANY_CARD, "redo"),
    Action("back", "[", "back", "Show your previous decision; a new one replaces it",
           _LOOK, _CURATE | _CARD_ZOOM, "look_back", 5),
    Action("forward", "]", "forward", "Return from earlier cards or a search to the queue", _LOOK, _ON_CARD,
           "look_forward"),
    Action("note", "n", "note", "Write a note about this card", _DECIDE, _ON_CARD, "note", 4),
    Action("flag", "f", "flag", "Flag this card, or remove the flag", _DECIDE, _ON_CARD, "flag", 3),
    Action("judges", "v", "judges", "The verdicts of the judges, in full", _LOOK, _ON_CARD,
           "judges", 4),
    Action("copy", "y", "copy", "Copy the text, the id or the path of the image", _LOOK, _CARD, "ask_copy"),
    Action("panel", "G", "panel", "Next content of the panel below the image", _LOOK,
           _CARD, "next_panel"),
    Action("zoom", "i", "zoom", "The image on the whole screen; you decide there, too", _LOOK,
           _CARD, "zoom", 4),
    Action("zoom-in", "+,=", "larger", "Zoom in; also the mouse wheel", _IMAGE, _ZOOMED, "step(1)", 6),
    Action("zoom-out", "-,_", "smaller", "Zoom out", _IMAGE, _ZOOMED, "step(-1)", 6),
    Action("zoom-fit", "0", "fit", "Fit the image to the screen", _IMAGE, _ZOOMED, "fit", 4),
    Action("zoom-actual", "1", "100 %", "One screen pixel for each image pixel", _IMAGE, _ZOOMED, "actual", 4),
    Action("pan-left", "left,h", "left", "Move left; also by dragging", _IMAGE, _ZOOMED, "pan(-1, 0)"),
    Action("pan-right", "right,l", "right", "Move right", _IMAGE, _ZOOMED, "pan(1, 0)"),
    Action("pan-up", "up,k", "up", "Move up", _IMAGE, _ZOOMED, "pan(0, -1)"),
    Action("pan-down", "down,j", "down", "Move down", _IMAGE, _ZOOMED, "pan(0, 1)"),
    Action("outside", "o", "outside", "Open the image in the program of [curate] viewer",
           _LOOK, _CARD | _ZOOMED, "open_outside", 1),
    Action("zoom-leave", "escape,i,q", "leave zoom", "Show whole cards again; zoom stays on until then", _IMAGE,
           _ZOOMED, "leave_zoom", 9),
    Action("find", "/", "find", "Search texts, concepts and captions, and open a card", _LOOK, _CURATE, "find", 5),
    Action("similar", "m", "similar", "More like this in Browse, most similar first", _LOOK, _CARD,
           "show_similar"),
    Action("reject-family", "M", "family", "Reject this card and the cards that repeat it", _DECIDE,
           _CARD, "reject_family"),
    Action("revisit", "r", "revisit", "At the end: serve skipped, unsure and edited cards", _DECIDE,
           _DONE, "revisit", 9),
    Action("look-again", "enter,space", "look again", "At the end: check for new cards", _DECIDE, _DONE,
           "look_again", 8),
    Action("scroll-down", "down,j", "down", "Scroll a long card down", _LOOK, _CARD, "scroll_card(1)"),
    Action("scroll-up", "up,k", "up", "Scroll a long card up", _LOOK, _CARD, "scroll_card(-1)"),
    Action("browse", "b", "browse", "All candidates, with filters and bulk decisions",
           _SCREEN, _CURATE, "app.open_tab('browse')", 1),
    Action("guidelines", "g", "guidelines", "The rules of deciding, with an example of each reason",
           _SCREEN, _CURATE, "app.open_tab('guidelines')", 1),
    Action("adjudicate", "d", "adjudicate", "Decide the cards on which annotators disagree", _SCREEN,
           _CURATE, "app.open_tab('adjudicate')", 1),
    Action("history", "h", "history", "All events of this card, and who caused them", _SCREEN,
           _CURATE | _TALLY, "app.open_tab('history')", 1),
    Action("progress", "p", "progress", "Speed, time left, balance, agreement, judges",
           _SCREEN, _CURATE, "app.open_tab('progress')", 1),
    Action("settings", "comma", "settings", "All settings, where each is set, and your keys",
           _SCREEN, _CURATE, "app.open_tab('settings')"),
    Action("leave-screen", "escape,q", "back", "Close the screen; your card is kept", _SCREEN, _SIDE,
           "leave_screen", 10),
    Action("browse-open", "enter", "open", "Open the card; in the facets: change the filter",
           _LOOK, _BROWSE, "open", 9),
    Action("browse-filter", "/", "filter", "Edit the filter; the line completes what you type",
           _LOOK, _BROWSE, "filter", 9),
    Action("row-accept", "a", "accept", f"Accept the row: {DECISION_TEXTS[Kind.ACCEPT]}", _DECIDE, _BROWSE,
           "decide('accept')", 9),
    Action("row-reject", "x", "reject", "Reject the row; one more key for the reason", _DECIDE, _BROWSE,
           "ask_reason", 9),
    Action("row-unsure", "u", "unsure", "You cannot decide about the row: others do first", _DECIDE, _BROWSE,
           "decide('unsure')", 6),
    Action("browse-image", "i", "image", "Show or hide the image of the row", _LOOK, _BROWSE, "image", 6),
    Action("browse-choose", "space", "select", "Select or deselect this row; shift+arrow: a range",
           _DECIDE, _BROWSE, "choose", 8),
    Action("browse-all", "ctrl+a,*", "all", "Select all rows of the view; escape deselects them", _DECIDE, _BROWSE,
           "choose_all", 3),
    Action("browse-range-down", "shift+down,J", "range down", "Extend the selection down", _DECIDE, _BROWSE,
           "choose_range(1)"),
    Action("browse-range-up", "shift+up,K", "range up", "Extend the selection up", _DECIDE, _BROWSE,
           "choose_range(-1)"),
    Action("browse-accept", "A", "accept all", "Accept the selected rows, or all of the view", _DECIDE, _BROWSE,
           "bulk('accept')", 5),
    Action("browse-reject", "X", "reject all", "Reject the selected rows, or all of the view", _DECIDE, _BROWSE,
           "bulk('reject')", 5),
    Action("browse-requeue", "Q", "reopen", "Reopen the selected rows for all annotators",
           _DECIDE, _BROWSE, "bulk('requeue')", 3),
    Action("browse-undo", "z", "undo", "Undo your last action; a bulk decision as a whole", _DECIDE, _BROWSE,
           "travel(True)", 4),
    Action("browse-redo", "Z,ctrl+y", "redo", "Redo what you undid last", _DECIDE, _BROWSE, "travel(False)"),
    Action("browse-sort", "s", "sort", "Sort by the next order", _LOOK, _BROWSE, "sort(1)", 7),
    Action("browse-reverse", "I", "reverse", "Reverse the order; so does a click on its column", _LOOK,
           _BROWSE, "reverse"),
    Action("browse-refresh", "f5,r", "refresh", "Read the list again, without rows that do not match", _LOOK,
           _BROWSE, "refresh", 4),
    Action("browse-sort-back", "S", "sort back", "Sort by the previous order", _LOOK, _BROWSE, "sort(-1)"),
    Action("browse-facets", "f", "facets", "Counts of each value; enter narrows the view", _LOOK, _BROWSE,
           "facets", 7),
    Action("browse-facet-next", "right,l", "next facet", "In the facets: the next field", _LOOK, _BROWSE,
           "turn_facets(1)"),
    Action("browse-facet-back", "left,h", "facet before", "In the facets: the field before", _LOOK, _BROWSE,
           "turn_facets(-1)"),
    Action("browse-similar", "m", "similar", "More like this row, most similar first", _LOOK, _BROWSE,
           "show_similar", 4),
    Action("browse-family", "M", "family", "Reject this row and the candidates that repeat it",
           _DECIDE, _BROWSE, "reject_family", 2),
    Action("browse-views", "w", "views", "Saved views", _LOOK, _BROWSE, "views", 5),
    Action("browse-save-view", "W", "save view", "Save this view under a name", _LOOK, _BROWSE, "save_view", 1),
    Action("browse-down", "down,j", "down", "Down the list", _LOOK, _BROWSE, "move(1)"),
    Action("browse-up", "up,k", "up", "Up the list", _LOOK, _BROWSE, "move(-1)"),
    Action("browse-page-down", "pagedown,ctrl+d", "page down", "A page down", _LOOK, _BROWSE, "page(1)"),
    Action("browse-page-up", "pageup,ctrl+u", "page up", "A page up", _LOOK, _BROWSE, "page(-1)"),
    Action("browse-first", "home,g", "first", "To the first", _LOOK, _BROWSE, "move(-1000000000)"),
    Action("browse-last", "end,G", "last", "To the last", _LOOK, _BROWSE, "move(1000000000)"),
    Action("settle-accept", "a", "accept", f"Final: {DECISION_TEXTS[Kind.ACCEPT]}", _SETTLE, _DISPUTED,
           "final('accept')", 9),
    Action("settle-reject", "x", "reject", f"Final: {DECISION_TEXTS[Kind.REJECT]}",
           _SETTLE, _DISPUTED, "ask_reason", 9),
    Action("settle-edit", "e", "edit", "Correct the text; annotators decide about it", _SETTLE, _DISPUTED,
           "edit", 7),
    Action("settle-next", "space", "next", "Leave this card open", _SETTLE, _DISPUTED, "go_on", 8),
    Action("settle-undo", "z", "undo", "Undo your last final decision and show its card again", _SETTLE,
           _DISPUTED | _TALLY, "undo", 8),
    Action("settle-zoom", "i", "zoom", "The image on the whole screen; you decide there, too", _LOOK, _ADJUDICATE,
           "zoom", 3),
    *(Action(f"cause-{cause.value.replace('_', '-')}", key, cause.value.replace("_", " "), CAUSE_TEXTS[cause],
             _WHY, _CAUSE, f"settle('{cause.value}')")
      for key, cause in CAUSE_KEYS.items()),
    Action("cause-none", "enter,space", "none", "no cause", _WHY, _CAUSE, "settle('')"),
    Action("cause-cancel", "escape,backspace", "cancel", "cancel the decision", _WHY, _CAUSE, "cancel_cause", 9),
    Action("tally-on", "enter,space", "next: any key", "Show the next card", _SETTLE, _TALLY, "go_on", 9),
    Action("tally-down", "down,j", "down", "Scroll down", _LOOK, _TALLY | _ADJUDICATE, "scroll_text(1)"),
    Action("tally-up", "up,k", "up", "Scroll up", _LOOK, _TALLY | _ADJUDICATE, "scroll_text(-1)"),
    Action("next-page", "right,l,tab", "next page", "Show the next page", _SCREEN, _PROGRESS, "turn_page(1)", 8),
    Action("previous-page", "left,h,shift+tab", "page before", "Show the previous page", _SCREEN, _PROGRESS,
           "turn_page(-1)", 7),
    Action("next-judge", "],n", "next judge", "Show the calibration of the next judge", _SCREEN, _PROGRESS,
           "turn_judge(1)", 5),
    Action("previous-judge", "[,N", "judge before", "Show the calibration of the previous judge", _SCREEN, _PROGRESS,
           "turn_judge(-1)", 4),
    Action("count-anew", "f5,r", "refresh", "Count now; each decision also starts a count", _SCREEN,
           _PROGRESS, "count_anew", 6),
    Action("history-refresh", "f5,r", "refresh", "Read the events again", _SCREEN, _HISTORY, "refresh", 6),
    Action("adjudicate-refresh", "f5", "refresh", "Read the disagreements again", _SCREEN, _ADJUDICATE, "refresh", 3),
    Action("change", "enter,e", "change", "Choose another value; negwb.toml is updated", _SCREEN, _SETTINGS,
           "change", 8),
    Action("text-down", "down,j", "down", "Scroll down", _LOOK, _SCROLLED, "scroll_text(1)"),
    Action("text-up", "up,k", "up", "Scroll up", _LOOK, _SCROLLED, "scroll_text(-1)"),
    Action("text-page-down", "pagedown,space", "page down", "Scroll a page down", _LOOK, _SCROLLED,
           "scroll_text(20)"),
    Action("text-page-up", "pageup", "page up", "Scroll a page up", _LOOK, _SCROLLED, "scroll_text(-20)"),
    Action("results", "f4", "results", "Generation, training runs, report; your card is kept", _ELSE, _CURATE,
           "app.show_results", 1),
    Action("theme", "f2", "theme", "Switch between dark and light", _ELSE, _EVERYWHERE, "app.toggle_dark"),
    Action("keep-theme", "f3", "keep theme", "Save the current theme in negwb.toml", _ELSE, _EVERYWHERE,
           "app.keep_theme"),
    Action("redraw", "ctrl+l", "redraw", "Draw the whole screen again",
           _ELSE, _EVERYWHERE, "app.redraw"),
    Action("palette", "ctrl+p", "palette", "All actions by name, and all themes", _ELSE, _EVERYWHERE,
           "app.command_palette"),
    Action("log", "L", "log", "What you did in this session, as commands to copy", _ELSE, _CURATE | _SIDE,
           "app.show_log"),
    Action("suspend", "ctrl+z", "suspend", "Return to the shell; fg there continues here", _ELSE, _EVERYWHERE,
           "app.suspend_process"),
    Action("help", "?,f1", "help", "This page", _ELSE, _ANY_CARD, "app.show_help", 10),
    Action("screen-help", "?,f1", "help", "This page", _ELSE, _SIDE | _ADJUDICATE_ZOOM, "show_help", 10),
    Action("quit", "q", "quit", "Quit; all decisions are stored", _ELSE, _CURATE | _PROBE,
           "quit", 2),
    Action("edit-save", "enter", "save", "Save your text; it replaces the caption", _EDIT, _EDITING,
           "save_edit", 9),
    Action("edit-field", "tab", "other field", "To the concept, or back to the text", _EDIT, _EDITING,
           "other_edit_field", 7),
    Action("edit-cancel", "escape", "cancel", "Close the fields; nothing is stored", _EDIT, _EDITING,
           "cancel_edit", 10),
    Action("edit-undo", "ctrl+z", "undo typing", "Undo the last typing in the text", _EDIT, _EDITING,
           "undo_typing(True)", 6),
    Action("edit-redo", "ctrl+y", "redo", "Redo the typing that you undid last", _EDIT, _EDITING,
           "undo_typing(False)", 5),
    *(Action(f"reason-{reason.value.replace('_', '-')}", key, reason.value.replace("_", " "), REASON_TEXTS[reason],
             _REASON, frozenset({KeyScope.REASON}), f"reject('{reason.value}')")
      for key, reason in REASON_KEYS.items()),
    Action("reason-cancel", "escape,backspace", "cancel", "cancel the rejection", _REASON,
           frozenset({KeyScope.REASON}), "cancel_reason", 9),
    Action("copy-text", "t,y", "text", "the negated caption", _COPY, _COPYING, "copy('text')"),
    Action("copy-id", "i", "id", "the id of the candidate", _COPY, _COPYING, "copy('id')"),
    Action("copy-path", "p", "path", "the path of the image", _COPY, _COPYING, "copy('path')"),
    Action("copy-cancel", "escape,backspace", "cancel", "copy nothing", _COPY, _COPYING, "cancel_copy", 9),
    *_ROW_ACTIONS,
    *_TAB_ACTIONS,
)
# fmt: on

# fmt: off
_RESULTS_ACTIONS = (
    Action("leave", "escape,q", "back", "Close the results; running jobs continue", _SCREEN, _TOP, "leave", 10),
    Action("back", "escape,backspace", "back", "Return to the previous screen", _SCREEN, _DEEP, "back", 10),
    Action("generate", "n", "new", "Start a generation run: choose pipeline and number", _GENERATION, _GENERATE,
           "generate", 9),
    Action("generate-stop", "s", "stop", "Stop the run; answers that have arrived are stored", _GENERATION,
           _GENERATE, "stop", 8),
    Action("generate-go-on", "r", "resume", "Resume a run that ended; no request is repeated",
           _GENERATION, _GENERATE, "go_on", 8),
    Action("generate-more", "J,shift+down", "more", "Scroll the details of the run down", _GENERATION, _GENERATE,
           "scroll_about(4)", 2),
    Action("generate-less", "K,shift+up", "less", "Scroll the details up", _GENERATION, _GENERATE, "scroll_about(-4)"),
    Action("train", "n", "new", "Start a training run: choose export, model and recipe, and estimate its cost",
           _TRAINING, _RUNS, "train", 9),
    Action("stop", "s", "stop", "Stop the run; it first saves its state", _TRAINING, _RUNS, "stop", 8),
    Action("resume", "r", "resume", "Resume a run that stopped or failed", _TRAINING, _RUNS, "resume", 8),
    Action("mark", "space", "mark", "Mark a run for the comparison, or remove its mark", _TRAINING, _RUNS, "mark", 6),
    Action("compare", "c", "compare", "Compare the marked runs and this one: curves and settings", _TRAINING, _RUNS,
           "compare", 6),
    Action("group", "g", "group", "Group the runs by a setting", _TRAINING, _RUNS, "group", 6),
    Action("log", "l", "log", "Show more of the run's log, or less", _TRAINING, _RUNS, "log", 4),
    Action("figure", "v", "figure", "Draw the next figure: losses, R@1, learning rate", _TRAINING, _COMPARE,
           "figure(1)", 9),
    Action("figure-before", "V", "figure", "Draw the previous figure", _TRAINING, _COMPARE, "figure(-1)"),
    Action("open", "enter", "open", "Open the details: slices, items, one item; of a run its data", _RESULTS,
           _REPORT | _SLICES | _ITEMS | _RUNS, "open", 9),
    Action("base", "b", "base", "Compare all models with the model of this row", _RESULTS, _REPORT, "base",
           6),
    Action("retention", "s", "scatter", "Scatter: accuracy on negated phrases by accuracy on affirmative ones",
           _RESULTS, _REPORT, "retention", 6),
    Action("reread", "f5,r", "refresh", "Read the result files again", _RESULTS, _REPORT, "reread", 4),
    Action("poll", "f5", "refresh", "Read the state of the runs now; it is also read by itself", _ELSE,
           _GENERATE | _RUNS, "poll_now", 3),
    Action("more", "J,shift+down", "more", "Scroll the details down", _RESULTS, _REPORT | _RUNS, "scroll_about(1)"),
    Action("less", "K,shift+up", "less", "Scroll the details up", _RESULTS, _REPORT | _RUNS, "scroll_about(-1)"),
    Action("origin", "o", "data", "Training data of the run: export, cues, reasons, who decided", _RESULTS,
           _REPORT | _RUNS, "origin", 6),
    Action("decisions", "enter", "decisions", "The decisions on these pairs", _RESULTS, _ORIGIN, "open", 9),
    Action("items", "i", "items", "All items of this result", _RESULTS, _REPORT | _SLICES, "items", 6),
    Action("all", "a", "all", "All items", _RESULTS, _ITEMS, "only('all')", 7),
    Action("wrong", "w", "wrong", "Only items with a wrong answer", _RESULTS, _ITEMS, "only('wrong')", 7),
    Action("right", "r", "right", "Only items with a right answer", _RESULTS, _ITEMS, "only('right')", 7),
    Action("differs", "d", "differs", "Only items on which base and model differ", _RESULTS, _ITEMS, "only('differs')",
           5),
    Action("gained", "plus,equals_sign", "gained", "Only items that this model has right and the base has wrong",
           _RESULTS, _ITEMS, "only('gained')", 7),
    Action("lost", "minus", "lost", "Only items that this model has wrong and the base has right", _RESULTS, _ITEMS,
           "only('lost')", 7),
    Action("crop", "c", "crop", "Show the inside of each box in turn, then the whole image", _RESULTS, _BOX_ITEM,
           "crop", 7),
    Action("masks", "c", "masks", "Show each mask alone in turn, then the true and the predicted one", _RESULTS,
           _MASK_ITEM, "turn_masks", 7),
    Action("next", "down,j,space,right", "next", "The next item", _RESULTS, _ITEM, "step(1)", 8),
    Action("previous", "up,k,left", "previous", "The previous item", _RESULTS, _ITEM, "step(-1)", 8),
    Action("next-model", "down,j", "next model", "Highlight the next model", _RESULTS, _RETENTION, "step(1)", 7),
    Action("previous-model", "up,k", "previous", "Highlight the previous model", _RESULTS, _RETENTION, "step(-1)", 7),
    Action("next-task", "right,l,space", "next task", "The scatter of the next task", _RESULTS, _RETENTION, "turn(1)",
           6),
    Action("previous-task", "left,h", "task before", "The scatter of the previous task", _RESULTS, _RETENTION,
           "turn(-1)", 5),
    Action("theme", "f2", "theme", "Switch between dark and light", _ELSE, _RESULT_SCREENS, "app.toggle_dark"),
    Action("redraw", "ctrl+l", "redraw", "Draw the whole screen again",
           _ELSE, _RESULT_SCREENS, "app.redraw"),
    Action("palette", "ctrl+p", "palette", "All actions by name, and all themes", _ELSE, _RESULT_SCREENS,
           "app.command_palette"),
    Action("suspend", "ctrl+z", "suspend", "Return to the shell; fg there continues here", _ELSE, _RESULT_SCREENS,
           "app.suspend_process"),
    Action("help", "?,f1", "help", "This page", _ELSE, _RESULT_SCREENS, "show_help", 10),
    Action("back-too", "q", "back", "Return to the previous screen", _SCREEN, _DEEP, "back"),
    *_ROW_ACTIONS,
    *_TAB_ACTIONS,
)
# fmt: on

GROUPS = (
    _DECIDE,
    _SETTLE,
    _REASON,
    _EDIT,
    _COPY,
    _WHY,
    _GENERATION,
    _TRAINING,
    _RESULTS,
    _IMAGE,
    _LOOK,
    _SCREEN,
    OWN_GROUP,
    _ELSE,
)
"""In the order of the help; a group without actions is not shown."""


# -- keys -----------------------------------------------------------------------------------------------------------

# fmt: off
_CAPS = {
    "space": "space", "left_square_bracket": "[", "right_square_bracket": "]", "slash": "/", "question_mark": "?",
    "escape": "esc", "backspace": "⌫", "up": "↑", "down": "↓", "left": "←", "right": "→",
    "plus": "+", "minus": "-", "underscore": "_", "tab": "tab",
}
# fmt: on
_LONGEST_HELP = 60
_TEXTUAL_NAMES = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}
"""Unicode names of characters, where Textual's name of the key differs."""


class ActionMap:
    """Actions with their keys: the defaults, or those of `[curate.keys]`; and the user's own commands."""

    def __init__(
        self,
        own_keys: Mapping[str, str] | None = None,
        actions: Sequence[Action] = _CURATE_ACTIONS,
        commands: Sequence[OwnCommand] = (),
        *,
        read_only: bool = False,
    ) -> None:
        """Args:
            own_keys: Comma-separated keys by action id.
            actions: The actions of the app.
            commands: The commands of `[commands]`, which are actions on a card.
            read_only: Refuse the actions that write.

        Raises:
            UsageError: An id is unknown, an action has no key, or a key has two actions in one scope.
        """
        own = self.own_keys = dict(own_keys or {})
        self.commands = {command.name: command for command in commands}
        self.read_only = read_only
        self._actions = (*actions, *map(_command_action, commands))
        if read_only:
            self._actions = tuple(_refused(action) if _writes(action) else action for action in self._actions)
        known = {action.id for action in self._actions}
        if unknown := sorted(own.keys() - known):
            raise UsageError(f"[curate.keys] has no action {unknown[0]!r}", hint=f"known: {', '.join(sorted(known))}")
        self._keys = {action.id: _split(action.id, own.get(action.id, action.keys)) for action in self._actions}
        self._free_own_keys(own)
        self._refuse_clashes()

    @property
    def all_actions(self) -> tuple[Action, ...]:
        return self._actions

    def tabs(self, scope: KeyScope) -> list[Action]:
        """Return the actions that open the tabs of the top line, in order."""
        return [action for action in self.at(scope) if action.tab is not None]

    def at(self, *scopes: KeyScope) -> list[Action]:
        """Return the actions that apply in one of `scopes`, in order."""
        return [action for action in self._actions if action.scopes & set(scopes)]

    def keys(self, action: Action) -> list[str]:
        """Return the keys of an action, as Textual names them."""
        return self._keys[action.id]

    def cap(self, action: Action) -> str:
        """Return the action's first key as it is printed on a keyboard."""
        return self.cap_of(action.id)

    def cap_of(self, action_id: str) -> str:
        """Return the first key of the action with this id, as printed on a keyboard; "" for none."""
        keys = self._keys[action_id]
        return key_cap(keys[0]) if keys else ""

    def caps(self, action: Action) -> str:
        """Return all keys of the action, as printed on a keyboard."""
        return " ".join(key_cap(key) for key in self._keys[action.id])

    def default_caps(self, action: Action) -> list[str]:
        """Return the action's default keys, as printed on a keyboard."""
        return [key_cap(key) for key in _split(action.id, action.keys)]

    def _free_own_keys(self, own: Mapping[str, str]) -> None:
        """Take from the tabs and from the zoomed image the default keys that the user gave to other actions.

        They remain in the palette. Leaving the zoom keeps a key.
        """
        yielding = {action.id: action for action in self._actions if action.tab is not None or action.group == _IMAGE}
        taken = {key for action_id in own.keys() - yielding.keys() for key in self._keys[action_id]}
        for action_id in yielding.keys() - own.keys():
            free = [key for key in self._keys[action_id] if key not in taken]
            if free or action_id != "zoom-leave":
                self._keys[action_id] = free

    def _refuse_clashes(self) -> None:
        taken: dict[tuple[KeyScope, str], str] = {}
        for action in self._actions:
            for scope in sorted(action.scopes):
                for key in self._keys[action.id]:
                    other = taken.setdefault((scope, key), action.id)
                    if action.group == OWN_GROUP and (other != action.id or key in _RESERVED):
                        meaning = f"that of {other}" if other != action.id else f"that which {_RESERVED[key]}"
                        raise UsageError(
                            f"[commands] the key {key_cap(key)!r} of {action.label} is {meaning}",
                            hint='give it a free key, as in: key = "f6"',
                        )
                    if other != action.id:
                        raise UsageError(
                            f"[curate.keys] the key {key_cap(key)!r} would mean both {other} and {action.id}",
                            hint=f'give one of them another key, as in: {action.id} = "f5"',
                        )


_READING = frozenset(
    {"browse-choose", "browse-all", "browse-range-down", "browse-range-up", "revisit", "look-again", "settle-next",
     "tally-on"}
)  # fmt: skip
"""Actions among the deciding ones that write nothing."""
_WRITING = frozenset(
    {"browse-save-view", "change", "keep-theme", "generate", "generate-go-on", "generate-stop", "train", "resume",
     "stop"}
)  # fmt: skip
"""Actions among the others that write."""
_RESERVED = {"ctrl+q": "quits the app", "ctrl+c": "shows how to quit"}
"""Keys of Textual that come before those of a screen."""


def _command_action(command: OwnCommand) -> Action:
    text = command.help or f"Runs: {' '.join(command.run.split())}"
    help_text = text if len(text) <= _LONGEST_HELP else f"{text[: _LONGEST_HELP - 1]}…"
    call = f"run_own('{command.name}')"
    return Action(f"command-{command.name}", command.key, command.name, help_text, OWN_GROUP, _CARD, call)


def _writes(action: Action) -> bool:
    """Return whether an action changes the record, the settings or a run."""
    if action.group in (_DECIDE, _SETTLE):
        return action.id not in _READING
    return action.id in _WRITING


def _refused(action: Action) -> Action:
    return replace(action, call=f"app.refuse('{action.label}')", refused=True)


def results_actions(own_keys: Mapping[str, str] | None = None, *, read_only: bool = False) -> ActionMap:
    """Return the actions of generation, training runs and report, with own keys only for the tabs."""
    tabs = {action.id for action in _TAB_ACTIONS}
    own = {name: keys for name, keys in (own_keys or {}).items() if name in tabs}
    return ActionMap(own, actions=_RESULTS_ACTIONS, read_only=read_only)


def _split(action_id: str, keys: str) -> list[str]:
    names = [long_name(key.strip()) for key in keys.split(",") if key.strip()]
    if not names:
        raise UsageError(f"[curate.keys] {action_id} = {keys!r}: no key", hint='write keys as in: accept = "a,f5"')
    return list(dict.fromkeys(names))


def long_name(key: str) -> str:
    """Return Textual's name of a key, such as question_mark for "?"."""
    if len(key) != 1 or key.isalnum():
        return key
    name = unicodedata.name(key, key).lower().replace("-", "_").replace(" ", "_")
    return _TEXTUAL_NAMES.get(name, name)


def key_cap(key: str) -> str:
    """Return a key as it is printed on a keyboard."""
    if key in _CAPS:
        return _CAPS[key]
    try:
        return unicodedata.lookup(key.replace("_", " "))
    except KeyError:
        return key
