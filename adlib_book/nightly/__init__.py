"""Nights: every chapter executed afresh, held against baselines and history, and reported."""
