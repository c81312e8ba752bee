"""One update, the epochs around it, and what resumes."""
