"""From predictions to scores, how sure they are, and what they are compared with (sections 4-2 to 4-5)."""
