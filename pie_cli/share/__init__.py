"""What leaves the program: a page for the browser, models in the forms that other tools load, single images."""
