"""What goes wrong in the demo."""

import random

import pytest

from failsoft.cli.demo_faults import ISSUE, MODEL, hold, plan_faults
from failsoft.parsing import JSONObject
from failsoft.sandbox.contents import Content
from failsoft.sandbox.faults import Fault, Kind, read_faults

CONNECT_TO_DEADLINE = 2.0  # seconds, the sandbox profile's time for a call


def faults(messages: int = 60, seed: int = 1) -> list[Fault]:
    return read_faults(plan_faults(messages, random.Random(seed)))


def planned(fault: Fault) -> int:
    return len(fault.nth)


def test_every_kind_that_the_sandbox_knows_is_planned_or_a_hold() -> None:
    planned_kinds = {fault.kind for fault in (*faults(), *read_faults([hold(1.0)]))}
    assert planned_kinds == set(Kind)


def test_the_model_is_spoilt_in_every_way() -> None:
    assert {fault.content for fault in faults() if fault.match == MODEL} >= set(Content)


@pytest.mark.parametrize("messages", [30, 60, 300])
def test_every_fault_names_at_least_one_call(messages: int) -> None:
    assert all(planned(fault) >= 1 for fault in faults(messages))


@pytest.mark.parametrize("messages", [30, 60, 300])
def test_a_call_that_creates_a_ticket_has_at_most_one_fault(messages: int) -> None:
    hit = [ordinal for fault in faults(messages) if fault.match == ISSUE for ordinal in fault.nth]
    assert len(hit) == len(set(hit))


@pytest.mark.parametrize("messages", [30, 60, 300])
def test_a_quarter_of_the_creations_is_hit(messages: int) -> None:
    hit = sum(planned(fault) for fault in faults(messages) if fault.match == ISSUE)
    assert hit >= 0.25 * messages * 0.7  # so many of the messages become a run


def test_faults_stay_inside_the_sandbox_profile() -> None:
    assert all(fault.seconds < CONNECT_TO_DEADLINE for fault in faults())
    assert all(float(fault.headers.get("Retry-After", "0")) <= 2 for fault in faults())
    assert all(fault.seconds <= 0.5 for fault in faults() if fault.kind is Kind.LATE_COMMIT)


def test_the_seed_decides_which_calls_are_hit() -> None:
    def plan(seed: int) -> list[JSONObject]:
        return plan_faults(60, random.Random(seed))

    assert plan(3) == plan(3)
    assert plan(3) != plan(4)
