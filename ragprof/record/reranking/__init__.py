"""The reranker's recording: candidates and scores at the greatest depth, live timings at every depth."""
