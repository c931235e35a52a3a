"""The rates that training reaches: of a card and its links, and of a generation of software."""
