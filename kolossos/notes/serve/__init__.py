"""The market as a service: an HTTP API, a stream of events and a page."""
