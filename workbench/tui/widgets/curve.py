"""Curves of a run or of several: each a line, marks, or both. Redrawn only when the points change.

textual-plot draws them; the import takes 0.2 s, so it waits for the first points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from workbench.jobs.training.run_monitor import Points, downsample
from workbench.tui.rendering.card_content import plain

if TYPE_CHECKING:
    from textual_plot import PlotWidget

_POINTS_PER_CELL = 4
_MARKS_PER_LINE = 8
"""Marks on a line that has more points: they tell the lines apart without colour."""
_MARGIN = 0.05
"""Share of the range that stays free on either side."""


@dataclass(frozen=True, slots=True)
class Series:
    label: str
    """Text of the legend; data may be in it."""
    points: Points
    colour: str
    """Name of a theme variable."""
    line: bool = True
    mark: str = ""
    """Character at the points: at all of them without a line, else at some."""


class Curve(Container):
    """The curves with their legend above."""

    DEFAULT_CSS = """
    Curve > #curve-legend { height: auto; max-height: 2; padding: 0 1; color: $text-muted; }
    Curve PlotWidget { height: 1fr; }
    Curve PlotWidget > .plot--axis { color: $border; }
    Curve PlotWidget > .plot--tick { color: $text-muted; text-style: none; }
    Curve PlotWidget > .plot--label { color: $text-muted; text-style: none; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._series: tuple[Series, ...] = ()
        self._drawn: tuple[object, ...] | None = None

    def compose(self) -> ComposeResult:
        """Compose the legend; the plot is mounted with its first points."""
        yield Static(id="curve-legend", markup=False)

    async def show(self, series: Sequence[Series]) -> None:
        """Draw the series that have points."""
        self._series = tuple(each for each in series if each.points)
        if self._series and not self.query("PlotWidget"):
            from textual_plot import PlotWidget  # 0.2 s

            plot = PlotWidget(allow_pan_and_zoom=False)
            plot.can_focus = False
            await self.mount(plot)
            plot.margin_left, plot.margin_bottom, plot.margin_top = 7, 2, 0
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        wanted = (self._series, self.size.width, self.app.theme)
        if wanted == self._drawn or not all(plot.is_mounted for plot in self.query("PlotWidget")):
            return  # `show` draws once the parts of a new plot exist
        self._drawn = wanted
        self.query_one("#curve-legend", Static).update(self._legend())
        for plot in self.query("PlotWidget"):
            plot.display = bool(self._series)  # the axes of another run do not fit this one
            self._draw_on(plot)  # type: ignore[arg-type]  # looked up by name: its class is imported late
            self.call_after_refresh(plot.refresh, layout=True)  # PlotWidget takes its new size only on a refresh

    def _draw_on(self, plot: PlotWidget) -> None:
        from textual_plot import HiResMode

        plot.clear()
        self._set_limits(plot)
        most = _POINTS_PER_CELL * max(10, self.size.width)
        for each in self._series:
            colour = self.app.theme_variables[each.colour]
            points = downsample(each.points, most)
            if each.line:
                steps, values = zip(*points, strict=True)
                plot.plot(steps, values, line_style=colour, hires_mode=HiResMode.BRAILLE)
        for each in self._series:  # above all lines
            colour = self.app.theme_variables[each.colour]
            if each.mark:
                points = spread(each.points, _MARKS_PER_LINE) if each.line else downsample(each.points, most)
                steps, values = zip(*points, strict=True)
                plot.scatter(steps, values, marker=each.mark, marker_style=f"bold {colour}")

    def _set_limits(self, plot: PlotWidget) -> None:
        """Set limits with a margin: the frame would hide points on the edge."""
        for limit, at in ((plot.set_xlimits, 0), (plot.set_ylimits, 1)):
            values = [point[at] for each in self._series for point in each.points]
            if values:
                margin = (max(values) - min(values)) * _MARGIN or 0.5
                limit(min(values) - margin, max(values) + margin)

    def _legend(self) -> Content:
        if not self._series:
            return Content("no figures yet")
        entries = [
            Content.assemble((f"{each.mark or '⠒⠒'} ", f"bold ${each.colour}"), plain(each.label, limit=30))
            for each in self._series
        ]
        return Content("   ").join(entries)


def spread(points: Points, count: int) -> Points:
    """Return `count` points at equal distances, the first and the last among them; all where there are fewer."""
    if len(points) <= count:
        return points
    return tuple(points[round(at * (len(points) - 1) / (count - 1))] for at in range(count))
