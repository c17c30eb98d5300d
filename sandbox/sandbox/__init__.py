"""Local stand-ins for everything Tributary talks to, and the command that runs them."""
