"""A measurement tells what the machine did to it from what the server did."""

from bench.pace import AFTER_S, Pace, apart, watched

USUAL = 0.001


def test_moments_at_less_than_a_third_of_the_usual_speed_are_spans_with_what_piled_up_after_them() -> None:
    pieces = [(0.1 * number, USUAL) for number in range(20)]
    pieces[5], pieces[6], pieces[15] = (0.5, 0.008), (0.6, 0.004), (1.5, 0.0031)

    spans = Pace(pieces).slow()

    assert [(round(begin, 4), round(end, 4)) for begin, end in spans] == [
        (0.492, round(0.6 + AFTER_S, 4)),
        (1.4969, round(1.5 + AFTER_S, 4)),
    ]


def test_a_steady_machine_has_no_slow_moment_and_neither_has_one_that_nobody_watched() -> None:
    assert Pace([(0.1 * number, USUAL * (1 + number % 3)) for number in range(20)]).slow() == []
    assert Pace().slow() == []


def test_what_touches_a_slow_moment_is_left_out() -> None:
    stretches = [(0.0, 0.9), (0.8, 1.1), (1.2, 1.3), (1.9, 2.1), (2.01, 2.2)]

    assert apart(stretches, [(1.0, 2.0)]) == [(0.0, 0.9), (2.01, 2.2)]


def test_the_pace_is_there_when_the_block_ends() -> None:
    with watched() as pace:
        assert pace.pieces == []

    ends = [end for end, _ in pace.pieces]
    assert ends == sorted(ends)
    assert all(took > 0 for _, took in pace.pieces)
