"""The command palette: the actions of the shown screen under their names and synonyms, commands and themes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from textual.app import SystemCommand
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.fuzzy import FuzzySearch

from workbench.workspace.keymap import Action, ActionMap, KeyScope

# fmt: off
SYNONYMS: Final[Mapping[str, str]] = MappingProxyType({
    "accept": "yes,true,approve,keep,ok",
    "reject": "no,false,decline,delete,remove",
    "repeat-reason": "again,last reason",
    "edit": "correct,change,rewrite,fix,modify",
    "edit-outside": "external editor,vim",
    "unsure": "do not know,maybe",
    "skip": "next,later,pass,not now",
    "undo": "revert,take back",
    "redo": "repeat,undo the undo",
    "back": "previous,earlier",
    "forward": "next,newest,queue",
    "note": "comment,remark,write",
    "flag": "mark,star",
    "judges": "verdicts,probabilities,models",
    "copy": "clipboard,yank",
    "panel": "last decisions,other captions,sidebar",
    "zoom": "magnify,enlarge,full screen",
    "zoom-in": "magnify,enlarge",
    "zoom-out": "reduce,shrink",
    "zoom-actual": "pixels,original size",
    "outside": "external viewer,open image",
    "find": "search,filter,look up,go to card",
    "revisit": "again,skipped,unsure",
    "look-again": "refresh,check",
    "results": "models,training,generation",
    "screen-curate": "go to,open,card,label,annotate,decide",
    "screen-browse": "go to,open,list,table,search,find,filter,candidates",
    "screen-adjudicate": "go to,open,disagreements,settle,resolve",
    "screen-progress": "go to,open,stats,statistics,numbers,speed,agreement,balance",
    "screen-history": "go to,open,events,log,timeline",
    "screen-guidelines": "go to,open,rules,instructions",
    "screen-settings": "go to,open,options,preferences,configuration,keys",
    "screen-generate": "go to,open,propose,generation runs",
    "screen-runs": "go to,open,training,curves",
    "screen-report": "go to,open,benchmarks,figures,results",
    "leave-screen": "close,exit,quit,card",
    "leave": "close,exit,quit",
    "back-too": "close,exit,quit",
    "browse-open": "go to card,show",
    "browse-filter": "search,find,query",
    "browse-choose": "mark,choose",
    "browse-all": "everything,mark all",
    "browse-requeue": "requeue,ask again",
    "browse-undo": "revert,take back",
    "browse-redo": "repeat",
    "browse-sort": "order",
    "browse-facets": "counts,group",
    "browse-views": "saved filters,bookmarks",
    "browse-save-view": "bookmark",
    "settle-accept": "yes,true,approve",
    "settle-reject": "no,false,decline",
    "settle-edit": "correct,change,rewrite",
    "settle-next": "skip,later,pass",
    "settle-undo": "revert,take back",
    "settle-zoom": "magnify,enlarge",
    "count-anew": "reload,update,count",
    "change": "edit,set,choose",
    "generate": "start,new run,propose",
    "generate-stop": "cancel,interrupt,end",
    "generate-go-on": "resume,continue,restart",
    "train": "start,new run,fine-tune",
    "stop": "cancel,interrupt,end",
    "resume": "continue,go on,restart",
    "mark": "select,choose",
    "masks": "overlay,true mask,predicted mask,view",
    "reread": "reload,update",
    "retention": "scatter,chart,plot",
    "origin": "training data,pairs",
    "theme": "dark,light,colour,color,appearance,mode",
    "keep-theme": "save theme",
    "help": "keys,shortcuts,manual,?",
    "screen-help": "keys,shortcuts,manual,?",
    "quit": "exit,leave,close,end",
})
# fmt: on
"""Other words for an action, by its id."""

_QUESTIONS: Final[Mapping[str, KeyScope]] = MappingProxyType(
    {"copy": KeyScope.COPY, "reject": KeyScope.REASON, "settle-reject": KeyScope.REASON}
)
"""Actions that ask a question, with the scope of its answers: each answer is a command of its own."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """An act that the app leaves to the shell."""

    arguments: str
    """After "negwb -w WORKSPACE"."""
    help: str
    synonyms: tuple[str, ...]


COMMAND_LINES: Final = (
    CommandLine("export", "Freeze the accepted pairs into exports/NAME, for training", ("freeze", "save", "dataset")),
    CommandLine("status", "Show sources, candidates, annotators, sessions and exports", ("stats", "numbers", "info")),
    CommandLine(
        "progress", "Show speed, time left, decisions, balance and agreement", ("stats", "statistics", "speed")
    ),
    CommandLine("import --help", "Import captions, candidates and questions", ("add", "load")),
    CommandLine("bench list", "List, fetch, make and run benchmarks", ("evaluate", "measure", "test")),
    CommandLine("backup", "Copy the record and verify the copy", ("copy", "save")),
    CommandLine("doctor", "Check the workspace, the record and this machine", ("check", "problems")),
)


class PaletteCommand(SystemCommand):
    """A command that is also found by other words than its title."""

    synonyms: tuple[str, ...] = ()


def action_commands(actions: ActionMap, listed: Iterable[Action]) -> Iterator[tuple[Sequence[Action], str, str]]:
    """Yield the actions to run one after the other, the title and the help of each command.

    Actions with the same effect are one command with the keys of all.
    """
    by_call: dict[str, list[Action]] = {}
    for action in listed:
        if action.id != "palette":
            by_call.setdefault(action.call, []).append(action)
    for same in by_call.values():
        caps = " ".join(filter(None, (actions.caps(each) for each in same)))
        label = f"go to {same[-1].tab}" if same[-1].tab is not None else same[0].label
        yield same, f"{label}  ({caps})" if caps else label, same[0].help
        scope = _QUESTIONS.get(same[0].id)
        for answer in actions.at(scope) if scope is not None else ():
            if not answer.call.startswith("cancel"):
                key = f"{actions.cap(same[0])} {actions.cap(answer)}"
                yield [same[0], answer], f"{same[0].label}: {answer.label}  ({key})", answer.help


def synonyms(actions: Iterable[Action]) -> tuple[str, ...]:
    words = (SYNONYMS.get(action.id, "") for action in actions)
    return tuple(word for each in words for word in each.split(",") if word)


def score(query: str, command: SystemCommand) -> float:
    """Return how well a command matches; 0: not at all.

    Whole words count most, then beginnings of words, then scattered letters, then words of the help.
    """
    wanted = query.strip().lower()
    names = [command.title.partition("  (")[0], *getattr(command, "synonyms", ())]
    best = max(_word_score(wanted, name.lower()) * (1 if at == 0 else 0.9) for at, name in enumerate(names))
    return best or (0.05 if len(wanted) > 2 and wanted in command.help.lower() else 0.0)


def _word_score(wanted: str, name: str) -> float:
    if wanted == name:
        return 4.0
    if name.startswith(wanted) or f" {wanted}" in name:
        return 2.0 + len(wanted) / len(name)
    fuzzy, _ = FuzzySearch().match(wanted, name)
    return min(fuzzy / 100, 1.0) if fuzzy > 0 else 0.0


class ActionCommands(Provider):
    """The commands of `App.get_system_commands`, found by name, synonym and help."""

    async def discover(self) -> Hits:
        """Yield all commands in the order of the action registry."""
        for command in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(Content(command.title), command.callback, text=command.title, help=_plain(command.help))

    async def search(self, query: str) -> Hits:
        """Yield the commands that match."""
        for command in self.app.get_system_commands(self.screen):
            if (found := score(query, command)) > 0:
                title = Content(command.title)
                yield Hit(found, title, command.callback, text=command.title, help=_plain(command.help))


def _plain(help_text: str) -> str:
    """Return the text for a place that parses markup."""
    return help_text.replace("[", r"\[")
