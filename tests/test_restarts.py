"""Tests of services/restarts.py: what keeps dying is given up, what dies now and then is not."""

import time

from services.restarts import Restarts


def test_what_keeps_dying_is_given_up_and_old_deaths_are_forgotten():
    """More deaths than allowed within the time are refused, and once the time has passed they no longer count."""
    restarts = Restarts(most=3, seconds=5.0)
    assert [restarts.one_more() for _ in range(5)] == [True, True, True, False, False]
    time.sleep(5.1)
    assert restarts.one_more()
