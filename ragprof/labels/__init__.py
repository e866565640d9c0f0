"""Questions and judgements that are being made: records, pool, rubric, choice, and how far judges agree.

Knows no pipeline and no clock: rankings come in as lists of ids, a model as something that answers prompts.
"""
