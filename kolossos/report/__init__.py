"""`kolossos report`: one document on what a run used and which lines of the law it is near. No legal advice."""
