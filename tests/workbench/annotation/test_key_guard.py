"""The key guard: which keys may decide about a card."""

from __future__ import annotations

import pytest

from workbench.annotation.key_guard import (
    GUARD_SECONDS,
    LONG_PATIENCE_SECONDS,
    PATIENCE_SECONDS,
    CardVisibility,
    KeyTooEarly,
    ScreenPlace,
)

JUST_LESS, JUST_ENOUGH = GUARD_SECONDS - 0.001, GUARD_SECONDS + 0.001


def asking(at: float = 0.0) -> CardVisibility:
    """The visibility in a terminal that has answered a position request at the start of the app."""
    sight = CardVisibility()
    sight.reported(sight.request(at), at)
    return sight


def test_a_key_before_the_first_frame_is_too_early() -> None:
    sight = CardVisibility()
    sight.turn_to(1, 10.0)
    assert sight.early(99.0) is KeyTooEarly.NEW


def test_a_key_decides_after_the_card_was_shown_for_the_guard_time() -> None:
    sight = CardVisibility()
    sight.turn_to(1, 10.0)
    assert sight.drawn(10.0) is None
    assert sight.early(10.0 + JUST_LESS) is KeyTooEarly.NEW
    sight = CardVisibility()
    sight.turn_to(1, 10.0)
    sight.drawn(10.0)
    assert sight.early(10.0 + JUST_ENOUGH) is None


def test_later_frames_do_not_count() -> None:
    sight = CardVisibility()
    sight.turn_to(1, 10.0)
    sight.drawn(10.0)
    sight.drawn(10.1)
    sight.turn_to(1, 10.1)
    assert sight.early(10.0 + JUST_ENOUGH) is None


def test_a_key_pressed_before_the_frame_is_too_early_even_if_handled_later() -> None:
    sight = CardVisibility()
    sight.turn_to(1, 10.0)
    sight.drawn(20.0)
    assert sight.early(19.0) is KeyTooEarly.NEW


def test_a_held_key_decides_nothing_until_it_is_released() -> None:
    sight = CardVisibility()
    sight.turn_to(1, 10.0)
    sight.drawn(10.0)
    repeats = [10.03 + 0.033 * number for number in range(60)]
    assert [sight.early(at) for at in repeats] == [KeyTooEarly.NEW] * 60
    assert sight.early(repeats[-1] + JUST_ENOUGH) is None


def test_one_dropped_key_delays_by_the_guard_time_at_most() -> None:
    sight = CardVisibility()
    sight.turn_to(1, 10.0)
    sight.drawn(10.0)
    assert sight.early(10.01) is KeyTooEarly.NEW
    assert sight.early(10.01 + JUST_ENOUGH) is None


def test_cards_seen_before_are_exempt() -> None:
    sight = CardVisibility()
    sight.turn_to(1, 10.0)
    sight.drawn(10.0)
    sight.turn_to(2, 11.0)
    sight.drawn(11.0)
    sight.turn_to(3, 11.01)  # 2 was there for a hundredth of a second
    sight.turn_to(1, 12.0)
    assert sight.early(12.0) is None
    sight.turn_to(2, 13.0)
    assert sight.early(13.0) is KeyTooEarly.NEW
    sight.turn_to(4, 14.0, known=True)
    assert sight.early(14.0) is None


def test_without_a_guard_every_key_decides() -> None:
    sight = CardVisibility(0.0)
    sight.request(0.0)
    sight.turn_to(1, 10.0)
    assert sight.early(10.0) is None
    assert sight.drawn(10.0) is None


def test_a_card_waits_for_the_answer_to_the_request_after_its_frame() -> None:
    sight = asking()
    sight.turn_to(1, 10.0)
    place = sight.drawn(10.0)
    assert place is not None
    assert sight.is_behind
    assert sight.early(15.0) is KeyTooEarly.BEHIND
    sight.reported(ScreenPlace(place.row, place.column + 1), 15.1)
    assert sight.early(15.5) is KeyTooEarly.BEHIND
    sight.reported(place, 16.0)
    assert not sight.is_behind
    assert sight.early(16.0 + JUST_LESS) is KeyTooEarly.NEW
    assert sight.early(17.0) is None


def test_the_answer_about_the_previous_card_does_not_count() -> None:
    sight = asking()
    sight.turn_to(1, 10.0)
    first = sight.drawn(10.0)
    sight.turn_to(2, 11.0)
    second = sight.drawn(11.0)
    assert first is not None
    assert first != second
    sight.reported(first, 12.0)
    assert sight.early(13.0) is KeyTooEarly.BEHIND


@pytest.mark.parametrize("modifiers", range(2, 9))
def test_f3_with_modifiers_is_no_answer(modifiers: int) -> None:
    """xterm sends CSI 1;2 R for F3 with shift."""
    sight = CardVisibility()
    sight.request(0.0)
    sight.reported(ScreenPlace(1, modifiers), 1.0)
    assert sight.patience == PATIENCE_SECONDS
    asked = asking()
    places = set()
    for card in range(300):
        asked.turn_to(card, 10.0)
        places.add(asked.drawn(10.0))
    assert all(place is not None and place.row > 1 for place in places)


def test_a_terminal_that_never_answers_gets_no_further_request() -> None:
    sight = CardVisibility()
    sight.request(0.0)
    sight.turn_to(1, 0.0)
    place = sight.drawn(0.1)
    assert place is not None
    assert sight.patience == PATIENCE_SECONDS
    sight.give_up(place)
    assert not sight.is_behind
    assert sight.early(0.1 + PATIENCE_SECONDS) is None
    sight.turn_to(2, 3.0)
    assert sight.drawn(3.0) is None
    assert sight.early(3.0 + JUST_ENOUGH) is None


def test_giving_up_an_old_request_does_not_pass_a_new_card() -> None:
    sight = CardVisibility()
    first = sight.request(0.0)
    sight.turn_to(1, 0.0)
    sight.drawn(0.1)
    sight.give_up(first)
    assert sight.early(5.0) is KeyTooEarly.BEHIND


def test_a_slow_terminal_gets_further_requests() -> None:
    sight = CardVisibility()
    sight.request(0.0)
    sight.turn_to(1, 0.0)
    place = sight.drawn(0.1)
    assert place is not None
    sight.give_up(place)
    sight.reported(place, 4.0)  # it does answer
    assert sight.patience == LONG_PATIENCE_SECONDS
    sight.turn_to(2, 5.0)
    assert sight.drawn(5.0) is not None
    assert sight.early(9.0) is KeyTooEarly.BEHIND


def test_a_terminal_without_a_request_is_not_waited_for() -> None:
    sight = CardVisibility()
    sight.reported(ScreenPlace(2, 1), 1.0)
    sight.turn_to(1, 10.0)
    assert sight.drawn(10.0) is None
