"""Checks that take too long for every change, or need an eye; tests run short forms of them."""
