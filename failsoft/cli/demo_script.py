"""What is going to happen in a demo; everything in it follows from the seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from failsoft.cli.demo_faults import plan_faults
from failsoft.cli.demo_scenario import Scenario
from failsoft.parsing import JSONObject

MESSAGES_A_KILL = 20
MOST_KILLS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """The deliveries of so many messages, act by act, what goes wrong, and how often one kills."""

    scenario: Scenario[Any]  # Any: a delivery only goes back to its scenario
    messages: int
    acts: Sequence[Sequence[Any]]
    faults: Sequence[JSONObject]
    kills: int
    seed: int

    @classmethod
    def write(cls, scenario: Scenario[Any], messages: int, seed: int) -> Self:
        rng = random.Random(seed)
        return cls(
            scenario=scenario,
            messages=messages,
            acts=scenario.write(messages, rng),
            faults=plan_faults(messages, scenario.harm, rng),
            kills=min(max(3, messages // MESSAGES_A_KILL), MOST_KILLS),
            seed=seed,
        )

    @property
    def deliveries(self) -> list[Any]:
        return [delivery for act in self.acts for delivery in act]

    def waves(self, act: Sequence[Any]) -> list[Sequence[Any]]:
        """Cut an act: a wave for each kill, and one for a kill that found no moment."""
        size = max(1, -(-len(self.deliveries) // (self.kills + 1)))
        return [act[start : start + size] for start in range(0, len(act), size)]
