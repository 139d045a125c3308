"""New images, looked at by people: what they are, and what that teaches."""
