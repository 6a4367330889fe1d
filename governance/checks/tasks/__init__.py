"""What is measured of each kind of prediction: answers of a model in, measurements and tables out."""
