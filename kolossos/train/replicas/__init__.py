"""Replicas that leave and come back while the others go on, with the losses of a run that nothing befell."""
