//! Pauses for operators that make many rows of few: a stopped query must leave its thread soon.
//!
//! A stopped query ends where it next waits. Scans pause of themselves, but a join or an expansion can make rows for
//! minutes from one batch it has already read, and whatever sums them up asks for the next without a pause.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// The operators that can make any number of rows of one batch.
const MULTIPLYING: [&str; 5] =
    ["CrossJoinExec", "HashJoinExec", "NestedLoopJoinExec", "SortMergeJoinExec", "UnnestExec"];

/// Lets the runtime stop a query between any two batches that a multiplying operator gives.
#[derive(Debug)]
pub(crate) struct PauseWhereRowsMultiply;

impl PhysicalOptimizerRule for PauseWhereRowsMultiply {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if !MULTIPLYING.contains(&node.name()) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "PauseWhereRowsMultiply"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
