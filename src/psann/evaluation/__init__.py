"""Judging a policy: figures and curves of its actions, beside what anybody could have done."""
