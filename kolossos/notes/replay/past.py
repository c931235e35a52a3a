"""A world as it was at an earlier moment."""

from dataclasses import replace

import numpy as np

from kolossos.notes.score.columns import World


def past_of(world: World, moment: float) -> World:
    """``world`` with the ratings made before ``moment`` (ms) only, and without statuses decided later."""
    notes = world.notes
    later = ~(notes.latest_decision_N < moment)
    unlocked = ~(notes.lock_time_N < moment)
    return replace(
        world,
        ratings=world.ratings.where(world.ratings.created_R < moment),
        notes=replace(
            notes,
            listed_N=notes.listed_N & (notes.created_N < moment),
            current_status_N=np.where(later, "", notes.current_status_N),
            first_status_N=np.where(later, "", notes.first_status_N),
            latest_decision_N=np.where(later, np.nan, notes.latest_decision_N),
            locked_status_N=np.where(unlocked, "", notes.locked_status_N),
            lock_time_N=np.where(unlocked, np.nan, notes.lock_time_N),
            waiting_since_N=np.full(len(notes), np.nan),
        ),
        now=moment,
    )
