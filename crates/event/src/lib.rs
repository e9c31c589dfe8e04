//! Tables, columns, batches and their canonical byte forms.
