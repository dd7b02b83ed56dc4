"""What a reconstructor draws from heads it never saw, and what that says of their examples."""
