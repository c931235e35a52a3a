"""Random faults in a run whose replicas come and go, against the same run that nothing befell."""
