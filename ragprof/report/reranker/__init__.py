"""The reranker's statement as a section of the report, a page of its own, and a table on the terminal."""
