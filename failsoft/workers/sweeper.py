"""What any worker does for all of them: take lost runs back, and keep people's deadlines."""

import logging

from failsoft.checkpoints.store import Store
from failsoft.errors import UnavailableError
from failsoft.settings import Timing
from failsoft.workers.heart import Heart

logger = logging.getLogger(__name__)


class Sweeper:
    """Two workers may sweep at once: rows that one has locked are skipped by the other."""

    def __init__(self, store: Store, heart: Heart, timing: Timing) -> None:
        self.store = store
        self.heart = heart
        self.timing = timing

    async def sweep(self) -> None:
        if not self.heart.may_sweep:
            return
        try:
            for worker_id in await self.store.workers.sweep():
                logger.warning("worker %s is gone", worker_id)
            for row in await self.store.runs.expire(backoff=self.timing.retry_first):
                logger.warning("run %s was lost with its worker: %s", row["run_id"], row["state"])
            for review in await self.store.reviews.escalate():
                logger.warning("review %s is past its deadline", review.review_id)
        except UnavailableError as error:
            logger.warning("no sweep: %s", error)
