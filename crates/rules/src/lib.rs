//! Detection rules: Sigma front end, shared predicates and the vectorised matcher.
