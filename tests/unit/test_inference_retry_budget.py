"""How many retries a worker may make."""

from gatewayz.inference.retry_budget import RetryBudget


def test_a_tenth_of_the_requests_may_be_tried_again_and_ten_at_once() -> None:
    budget = RetryBudget(0.1)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(9):
        budget.earn()
    assert not budget.spend()
    budget.earn()
    budget.earn()
    assert budget.spend()
    for _ in range(1000):
        budget.earn()
    assert sum(budget.spend() for _ in range(20)) == 10


def test_without_a_share_nothing_is_tried_again() -> None:
    budget = RetryBudget(0)
    budget.earn()
    assert not budget.spend()
