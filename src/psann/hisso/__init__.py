"""Episodes cut from a series and the differentiable rewards they earn."""
