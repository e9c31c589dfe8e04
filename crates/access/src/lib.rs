//! Accounts, sign-in, sessions and scoped credentials.
