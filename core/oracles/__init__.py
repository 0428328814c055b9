"""Slow, plain versions of the numbers that the app shows, to hold the fast ones to.

A file for each subject. Every public function has the name of a statistic of the catalogue and is written from its
formula alone, in float64, one feature or pair at a time. Its parameters name what it needs: raw arrays such as `W_dec`
(see the words of CONTRIBUTING), settings, and what a row of the shown table is about, such as `feature`. This room
knows no other, so that an error in what it judges cannot be its own.
"""
