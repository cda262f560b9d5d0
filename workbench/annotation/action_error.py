"""What a person is told when the desk could not do something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True, slots=True)
class ActionError:
    """Why something could not be done at the desk; nothing was written."""

    message: str
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}" if self.hint else self.message
