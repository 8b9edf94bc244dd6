"""Several models become one: members, their average, and one native model that answers as they do.

Averaging beats choosing: which of several adapted models is best cannot be seen without labels, while their mean is
seldom worse than the best of them, and never as bad as the worst.
"""
