"""Tests of services/restarts.py: what keeps dying is given up, what dies now and then is not."""

import time

from services.restarts import Restarts


def test_what_keeps_dying_is_given_up_and_old_deaths_are_forgotten():
    """More deaths than allowed within the time are refused, and once the time has passed they no longer count."""
    restarts = Restarts(most=3, seconds=5.0)
    assert [restarts.one_more(patient=False) for _ in range(5)] == [True, True, True, False, False]
    assert restarts.are_many
    time.sleep(5.1)
    assert not restarts.are_many
    assert restarts.one_more(patient=False)


def test_the_patient_start_it_again_after_a_while():
    """Whoever is patient is refused until the space since the last start has passed, then once."""
    restarts = Restarts(most=1, space_seconds=3.0)
    assert [restarts.one_more(patient=True) for _ in range(2)] == [True, False]
    time.sleep(3.1)
    assert [restarts.one_more(patient=one) for one in (False, True, True)] == [False, True, False]
