"""From photos or video to files: sources, jobs, outputs, and the manifest of what was written."""
