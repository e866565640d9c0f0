"""How a corpus that grows is drawn: charts over its size, tables, lines on a terminal. Computes nothing."""
