"""The program: flags become calls of the library, and what they tell goes to the screen."""
