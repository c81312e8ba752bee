"""From a run to today's weights: the policy that it kept, applied to later rows."""
