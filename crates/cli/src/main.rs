//! The command line: binary `moneta`.

fn main() {}
