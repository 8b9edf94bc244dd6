"""Combine several models: members, their average, and one native model with equal answers.

Averaging beats choosing: without labels the best of several adapted models is not known, while their mean is seldom
worse than the best of them, and never as bad as the worst.
"""
