"""The commands of search and of answers that quote: a file each."""
