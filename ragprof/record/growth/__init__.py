"""Growth recordings: the same pipelines on sub-corpora of rising size; rankings in one pass, timings live at each."""
