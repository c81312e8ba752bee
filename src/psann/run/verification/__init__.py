"""Whether a run directory keeps its promises."""
