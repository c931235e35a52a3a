"""An OpenAI-compatible server around an engine."""
