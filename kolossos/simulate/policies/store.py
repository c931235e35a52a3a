"""The whole job starts cold, and loads the newest checkpoint from the store."""

from kolossos.simulate.policy import Policy

POLICY = Policy(place=1)
