"""A problem and a learner that sciml knows by their entry points alone."""
