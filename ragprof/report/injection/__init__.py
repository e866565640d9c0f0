"""How answers are drawn: what chunks bring and cost, what a correct answer costs, what is stable. Computes nothing."""
