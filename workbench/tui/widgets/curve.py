"""A run's loss curve: training as a line, validation as diamonds. Redrawn only when the points change.

textual-plot draws it; the import takes 0.2 s, so it waits for the first points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from workbench.jobs.run_monitor import Points, downsample

if TYPE_CHECKING:
    from textual_plot import PlotWidget

_VAL_MARK = "◆"
_POINTS_PER_CELL = 4
_MARGIN = 0.05
"""Share of the range that stays free on either side."""


class Curve(Container):
    """The curve with its legend above."""

    DEFAULT_CSS = """
    Curve > #curve-legend { height: 1; padding: 0 1; color: $text-muted; }
    Curve PlotWidget { height: 1fr; }
    Curve PlotWidget > .plot--axis { color: $border; }
    Curve PlotWidget > .plot--tick { color: $text-muted; text-style: none; }
    Curve PlotWidget > .plot--label { color: $text-muted; text-style: none; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._train: Points = ()
        self._val: Points = ()
        self._drawn: tuple[object, ...] | None = None

    def compose(self) -> ComposeResult:
        """Compose the legend; the plot is mounted with its first points."""
        yield Static(id="curve-legend", markup=False)

    async def show(self, train: Points, val: Points) -> None:
        self._train, self._val = train, val
        if (train or val) and not self.query("PlotWidget"):
            from textual_plot import PlotWidget  # 0.2 s

            plot = PlotWidget(allow_pan_and_zoom=False)
            plot.can_focus = False
            await self.mount(plot)
            plot.margin_left, plot.margin_bottom, plot.margin_top = 7, 2, 0
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        wanted = (self._train, self._val, self.size.width, self.app.theme)
        if wanted == self._drawn:
            return
        self._drawn = wanted
        self.query_one("#curve-legend", Static).update(self._legend())
        for plot in self.query("PlotWidget"):
            plot.display = bool(self._train or self._val)  # the axes of another run do not fit this one
            self._draw_on(plot)  # type: ignore[arg-type]  # looked up by name: its class is imported late
            self.call_after_refresh(plot.refresh, layout=True)  # PlotWidget takes its new size only on a refresh

    def _draw_on(self, plot: PlotWidget) -> None:
        from textual_plot import HiResMode

        plot.clear()
        self._set_limits(plot)
        most = _POINTS_PER_CELL * max(10, self.size.width)
        colours = self.app.theme_variables
        if line := downsample(self._train, most):
            steps, losses = zip(*line, strict=True)
            plot.plot(steps, losses, line_style=colours["primary"], hires_mode=HiResMode.BRAILLE)
        if dots := downsample(self._val, most):
            steps, losses = zip(*dots, strict=True)
            plot.scatter(steps, losses, marker=_VAL_MARK, marker_style=f"bold {colours['accent']}")

    def _set_limits(self, plot: PlotWidget) -> None:
        """Set limits with a margin: the frame would hide points on the edge."""
        for limit, at in ((plot.set_xlimits, 0), (plot.set_ylimits, 1)):
            values = [point[at] for point in (*self._train, *self._val)]
            if values:
                margin = (max(values) - min(values)) * _MARGIN or 0.5
                limit(min(values) - margin, max(values) + margin)

    def _legend(self) -> Content:
        if not self._train and not self._val:
            return Content("no figures yet")
        legend = Content("")
        if self._train:
            legend = Content.assemble(("⠒⠒ ", "$primary"), "training loss   ")
        if self._val:
            legend = Content.assemble(legend, (f"{_VAL_MARK} ", "bold $accent"), "validation loss")
        return legend
