"""What leaves the program: models in the forms that other tools load, and images as they take them."""
