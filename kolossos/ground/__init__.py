"""Search over posts, notes and documents, and answers that quote what was found or say that nothing was."""
