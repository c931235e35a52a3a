"""What goes over the wire: bodies in, answers and refusals out."""
