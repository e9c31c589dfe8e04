//! Removes personal data: keyed tokens in place of values.
