"""One benchmark item: the image with boxes, the phrase with its cue, the scores and the correct answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from benchmarks.schema import captions_of, twin_options
from curation_db.language.sanitize import display_text
from workbench.images.boxes import letter, picture_in_box, picture_with_boxes
from workbench.images.mask_overlay import LEGEND as MASK_LEGEND
from workbench.images.mask_overlay import MaskView, picture_with_masks
from workbench.images.terminal_graphics import picture_box
from workbench.reports.benchmark_report import ReportLine
from workbench.reports.item_answers import ItemAnswers, boxes_of, images_of, target_of
from workbench.tui.rendering.items import facts, outcome, phrase, scores
from workbench.tui.rendering.report import heading
from workbench.tui.results.context import STYLES
from workbench.tui.screens.base.action_screen import ActionScreen
from workbench.tui.threads import run_in_daemon_thread
from workbench.tui.widgets.lines.header_bar import HeaderBar
from workbench.tui.widgets.lines.key_hints import pane_keys
from workbench.tui.widgets.picture import PicturePane
from workbench.workspace.keymap import KeyScope

if TYPE_CHECKING:
    from benchmarks.schema import ItemRow, MaskFacts
    from workbench.tui.results.context import ResultsContext

_LEGEND = "— right box   ╌ other boxes"


class ItemScreen(ActionScreen):
    """An item of the list; up and down go through the list."""

    CSS_PATH = STYLES
    AUTO_FOCUS = None
    PANES: ClassVar = {"#item-text": [pane_keys("item", "previous", "next")]}

    def __init__(
        self,
        context: ResultsContext,
        line: ReportLine,
        items: Sequence[ItemRow],
        at: int,
        answers: ItemAnswers,
        follow: Callable[[int], None],
    ) -> None:
        """`follow` is called with the index of the item shown last, for the cursor of the list."""
        has_masks = "mask" in items[at]  # so have all items of a result, or none
        super().__init__(context.actions, KeyScope.MASK_ITEM if has_masks else KeyScope.ITEM)
        view = "masks" if has_masks else "crop"
        self.panes = {"#picture-side": [pane_keys(view, view)], **self.panes}
        self.context, self.line, self.at = context, line, at
        self._items = items
        self._follow = follow
        self._answers = answers
        self._crop: int | None = None
        """The box whose inside is shown, or the view of an item with masks; None: the whole image, with all of them."""

    @property
    def row(self) -> ItemRow:
        return self._items[self.at]

    def compose(self) -> ComposeResult:
        yield HeaderBar(id="top")
        with Horizontal(id="item"):
            with Vertical(id="picture-side", classes="pane"):
                for place in range(len(images_of(self.row))):
                    yield PicturePane(self.context.protocol, id=f"picture-{place}")
            with VerticalScroll(id="item-text", classes="pane", can_focus=False):
                yield Static(id="body", markup=False)
        yield from self.compose_foot()

    def on_mount(self) -> None:
        """Wait for the layout: the bars depend on the width."""
        self.call_after_refresh(self._show)

    def on_resize(self) -> None:
        if self.is_whole:
            self.call_after_refresh(self._show)

    def on_screen_suspend(self) -> None:
        for pane in self.query(PicturePane):
            pane.hide_for_modal()

    def on_screen_resume(self) -> None:
        for pane in self.query(PicturePane):
            pane.restore()

    def action_step(self, by: int) -> None:
        """Show the next item of the list, or the previous one."""
        at = max(0, min(self.at + by, len(self._items) - 1))
        if at != self.at:
            self.at, self._crop = at, None
            self._show()

    def action_crop(self) -> None:
        """Show the inside of the first box, then of the next, then the whole image again."""
        self._turn(len(boxes_of(self.row)))

    def action_turn_masks(self) -> None:
        """Show the true mask, the predicted one, that of the base, then the true and the predicted one again."""
        self._turn(len(self._views))

    def _turn(self, views: int) -> None:
        """Show the next of so many views, and after the last one the first picture again."""
        shown = 0 if self._crop is None else self._crop + 1
        self._crop = shown if shown < views else None
        self._show()

    def disabled_reason(self, action: str, parameters: tuple[object, ...]) -> str:
        match action, parameters:
            case "step", (int() as by,) if not 0 <= self.at + by < len(self._items):
                return "this is the last item" if by > 0 else "this is the first item"
            case "crop", _ if not boxes_of(self.row):
                return "the item has no boxes"
        return ""

    def action_back(self) -> None:
        """Return to the list, with the cursor on this item."""
        if self.is_active:
            self._follow(self.at)
            self.dismiss(None)

    def _show(self) -> None:
        row = self.row
        width = self.query_one("#item-text").content_size.width
        blank = Content("")
        has_captions = captions_of(row) or twin_options(row)  # which are shown with their scores
        # fmt: off
        asked = [] if has_captions else [phrase(row), blank]
        theirs, base = self._answers.base.get(row["id"]), self.context.reference_name(self.line.main)
        lines = [heading(self.line), blank, *asked, scores(row, self.line.main.model, theirs, base, width), blank,
                outcome(row, self._answers, self.line.main.against), blank, facts(row)]
        # fmt: on
        self.query_one("#body", Static).update(Content("\n").join(lines))
        right = f"{self.at + 1:,} of {len(self._items):,}"
        self.query_one(HeaderBar).show("results", "report", "items", f"item {row['id']}", right=right)
        names = images_of(row)
        side = self.query_one("#picture-side")
        legend = f"{letter(0)} above, {letter(1)} below" if len(names) > 1 else self._legend()
        side.border_title = Content(display_text(" · ".join(filter(None, [legend, *names])), limit=100))
        self.query_one("#item-text").border_title = Content(f"item {display_text(row['id'], limit=40)}")
        self.update_keys()
        self._load()

    @property
    def _views(self) -> list[tuple[str, MaskFacts, MaskView]]:
        """The masks that can be shown alone, each with a legend."""
        if (mask := self.row.get("mask")) is None:
            return []
        views = [("— true mask", mask, MaskView.TRUE), ("╱╱ predicted mask", mask, MaskView.PREDICTED)]
        base = self._answers.base.get(self.row["id"])
        if base is not None and (theirs := base.get("mask")) is not None:
            views.append((f"— true mask   ╱╱ mask of {self.context.base_name}", theirs, MaskView.BOTH))
        return views

    def _legend(self) -> str:
        if "mask" in self.row:
            return MASK_LEGEND if self._crop is None else self._views[self._crop][0]
        if self._crop is not None:
            target = self._crop == self.row["target"] and not twin_options(self.row)
            return f"inside box {letter(self._crop)}{', the right one' if target else ''}"
        return "" if captions_of(self.row) or twin_options(self.row) else _LEGEND

    @work(exclusive=True)
    async def _load(self) -> None:
        row, crop, boxes = self.row, self._crop, boxes_of(self.row)
        for place, name in enumerate(images_of(row)):
            pane = self.query_one(f"#picture-{place}", PicturePane)
            size = picture_box(max(1, pane.size.width), max(1, pane.size.height), self.context.protocol)
            path = self.context.locate(self.line.main, name)
            if "mask" in row:
                _, mask, view = ("", row["mask"], MaskView.BOTH) if crop is None else self._views[crop]
                masks = partial(picture_with_masks, path, size, mask, view=view, name=name)
                pane.show(await run_in_daemon_thread(masks), alt="images are turned off")
                continue
            draw = (
                partial(picture_with_boxes, path, size, boxes, target_of(row), name=name)
                if crop is None
                else partial(picture_in_box, path, size, boxes[crop], name=name)
            )
            pane.show(await run_in_daemon_thread(draw), alt="images are turned off")
