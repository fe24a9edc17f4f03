"""How our processes run: their event loop, what they do over and over, and what they wait out."""
