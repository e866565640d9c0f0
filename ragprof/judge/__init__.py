"""Quality: the only room that knows relevance judgements."""
