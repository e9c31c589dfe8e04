//! Binds KQL to tables and lowers it to DataFusion logical plans.
