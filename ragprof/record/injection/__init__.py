"""The record pass over prompts and answers: which chunks went in, what came back, how long it took."""
