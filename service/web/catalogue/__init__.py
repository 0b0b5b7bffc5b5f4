"""Sentences of the pages, a file a language, and how those of the service are found there."""
