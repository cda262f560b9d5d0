"""Lists of any length: tables that draw the visible rows only, their selection, and what narrows them."""
