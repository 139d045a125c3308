"""A row of the table as a tool: its networks, a score that means something, and where they look."""
