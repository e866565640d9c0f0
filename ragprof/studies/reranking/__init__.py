"""The reranker's profit and loss: what it buys, what it costs, what else would buy the same."""
