"""From executed chapters to pages."""
