"""Content, and how it is shown: on a terminal, as a page, in pictures; it knows of no run."""
