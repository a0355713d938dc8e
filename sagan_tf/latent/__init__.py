"""Handles on the latent space of a generator; `__main__` is the command.

`directions` finds what changes images most, `walks` leads through latents and back to the first,
`projection` finds the latents that draw a given picture, and `drawing` draws latents.
"""

# First directions that an export can move along, and for which its page has sliders.
NUM_DIRECTIONS = 4
