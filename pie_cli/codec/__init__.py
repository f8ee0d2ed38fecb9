"""Compressed files whose compression can be undone: z first, then the residual levels, then what makes pixels exact."""
