"""The images that Kitty's terminal stores for an app: each is sent once, and removed at the end."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from textual.app import App

    from workbench.images.kitty import KittyImage

_MOST = 12
"""Images that the terminal stores at once."""


class KittyStore:
    """Writes to the driver at once, so that an image is there before the frame with its placeholders."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._stored: OrderedDict[int, tuple[KittyImage, tuple[int, int]]] = OrderedDict()
        """Images and their sizes in cells, the one used last at the end."""

    def keep(self, image: KittyImage, size: tuple[int, int]) -> None:
        """Make the terminal store `image` for so many columns and rows; send only what it lacks."""
        stored = self._stored.get(image.number)
        missing = "" if stored is not None else image.sending()
        if stored is None or stored[1] != size:
            missing += image.placing(*size)
        self._stored[image.number] = (image, size)
        self._stored.move_to_end(image.number)
        while len(self._stored) > _MOST:
            missing += self._forget(next(iter(self._stored)))
        self._write(missing)

    def clear(self) -> None:
        """Remove all images: the app ends, or another program gets the terminal."""
        self._write("".join(self._forget(number) for number in list(self._stored)))

    def _forget(self, number: int) -> str:
        image, _ = self._stored.pop(number)
        image.is_lost = True
        return image.deleting()

    def _write(self, sequences: str) -> None:
        if sequences and self._app._driver is not None:
            self._app._driver.write(sequences)


_stores: WeakKeyDictionary[App[Any], KittyStore] = WeakKeyDictionary()


def kitty_store(app: App[Any]) -> KittyStore:
    """Return the store of the app's terminal."""
    if app not in _stores:
        _stores[app] = KittyStore(app)
    return _stores[app]
