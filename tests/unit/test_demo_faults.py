"""What goes wrong in the demos."""

import random
from typing import Any

import pytest

from failsoft.cli.demo_faults import MODEL, SMTP, hold, plan_faults
from failsoft.cli.demo_scenario import AGENTS, Scenario, scenario_of
from failsoft.cli.demo_stage import MODEL_SECONDS
from failsoft.parsing import JSONObject
from failsoft.sandbox.contents import Content
from failsoft.sandbox.faults import Fault, Kind, read_faults

CONNECT_TO_DEADLINE = 2.0  # seconds, the sandbox profile's time for a call


@pytest.fixture(params=list(AGENTS))
def scenario(request: pytest.FixtureRequest) -> Scenario[Any]:
    return scenario_of(request.param)


def faults(scenario: Scenario[Any], messages: int = 60, seed: int = 1) -> list[Fault]:
    return read_faults(plan_faults(messages, scenario.harm, random.Random(seed)))


def planned(fault: Fault) -> int:
    return len(fault.nth)


def test_every_kind_that_the_sandbox_knows_is_planned_or_a_hold(scenario: Scenario[Any]) -> None:
    held = read_faults([hold(scenario.creation, 1.0)])
    assert {fault.kind for fault in (*faults(scenario), *held)} == set(Kind)


def test_the_model_is_spoilt_in_every_way(scenario: Scenario[Any]) -> None:
    contents = {fault.content for fault in faults(scenario) if fault.match == MODEL}
    assert contents >= set(Content)


def test_the_model_is_too_slow_at_least_once(scenario: Scenario[Any]) -> None:
    assert any(fault.seconds > MODEL_SECONDS for fault in faults(scenario) if fault.match == MODEL)


@pytest.mark.parametrize("messages", [30, 60, 300])
def test_every_fault_names_at_least_one_call(scenario: Scenario[Any], messages: int) -> None:
    assert all(planned(fault) >= 1 for fault in faults(scenario, messages))


@pytest.mark.parametrize("messages", [30, 60, 300])
def test_a_call_that_creates_has_at_most_one_fault(scenario: Scenario[Any], messages: int) -> None:
    creating = [one for one in faults(scenario, messages) if one.match == scenario.creation]
    hit = [ordinal for fault in creating for ordinal in fault.nth]
    assert len(hit) == len(set(hit))


@pytest.mark.parametrize("messages", [30, 60, 300])
def test_a_quarter_of_the_creations_is_hit(scenario: Scenario[Any], messages: int) -> None:
    creating = [one for one in faults(scenario, messages) if one.match == scenario.creation]
    hit = sum(planned(fault) for fault in creating)
    assert hit >= 0.25 * messages * 0.7  # so many of the messages become a run


def test_faults_stay_inside_the_sandbox_profile(scenario: Scenario[Any]) -> None:
    found = faults(scenario)
    assert all(fault.seconds < CONNECT_TO_DEADLINE for fault in found)
    assert all(float(fault.headers.get("Retry-After", "0")) <= 2 for fault in found)
    assert all(fault.seconds <= 0.5 for fault in found if fault.kind is Kind.LATE_COMMIT)


def test_no_mail_server_denies_a_mail_that_it_has_taken() -> None:
    kinds = {one.kind for one in faults(scenario_of("email-salesforce")) if one.match == SMTP}
    assert Kind.STATUS_AFTER not in kinds  # the sender would be right to send it again


def test_the_seed_decides_which_calls_are_hit(scenario: Scenario[Any]) -> None:
    def plan(seed: int) -> list[JSONObject]:
        return plan_faults(60, scenario.harm, random.Random(seed))

    assert plan(3) == plan(3)
    assert plan(3) != plan(4)
