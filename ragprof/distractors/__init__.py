"""Passages made to distract: near-copies and contradictions, by documented rules. Each can be traced to its source."""
