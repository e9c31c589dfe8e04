//! The plugins of `evaluate`: one file per family, each declared once in [`PLUGINS`].

mod activity;
mod arguments;
mod bag_unpack;
mod geo_lookup;
mod lookup;
mod patterns;
mod pivot;
pub(crate) mod rows;
mod sequences;
mod simple;

use moneta_kql::syntax::EvaluateOperator;

use crate::binder::Binder;
use crate::bound::Relation;

/// The declaration of a plugin.
#[derive(Debug)]
pub struct Plugin {
    /// The name.
    pub name: &'static str,
    /// Whether it reads the declared schema itself.
    pub takes_schema: bool,
    /// Binds a call over rows.
    pub(crate) bind: fn(&mut Binder<'_>, Relation, &EvaluateOperator) -> Option<Relation>,
}

const fn plugin(
    name: &'static str,
    bind: fn(&mut Binder<'_>, Relation, &EvaluateOperator) -> Option<Relation>,
) -> Plugin {
    Plugin { name, takes_schema: false, bind }
}

/// All plugins.
pub const PLUGINS: &[Plugin] = &[
    plugin("active_users_count", activity::active_users_count),
    plugin("activity_counts_metrics", activity::activity_counts_metrics),
    plugin("activity_engagement", activity::activity_engagement),
    plugin("activity_metrics", activity::activity_metrics),
    plugin("autocluster", patterns::autocluster),
    Plugin { name: "bag_unpack", takes_schema: true, bind: bag_unpack::bind },
    plugin("basket", patterns::basket),
    plugin("dcount_intersect", simple::dcount_intersect),
    plugin("diffpatterns", patterns::diffpatterns),
    plugin("estimate_rows_count", simple::estimate_rows_count),
    plugin("funnel_sequence", sequences::funnel_sequence),
    plugin("funnel_sequence_completion", sequences::funnel_sequence_completion),
    plugin("geo_line_lookup", geo_lookup::geo_line_lookup),
    plugin("geo_polygon_lookup", geo_lookup::geo_polygon_lookup),
    plugin("identity", simple::identity),
    plugin("ipv4_lookup", lookup::ipv4_lookup),
    plugin("ipv6_lookup", lookup::ipv6_lookup),
    plugin("narrow", simple::narrow),
    plugin("new_activity_metrics", sequences::new_activity_metrics),
    Plugin { name: "pivot", takes_schema: true, bind: pivot::bind },
    plugin("preview", simple::preview),
    plugin("rolling_percentile", activity::rolling_percentile),
    plugin("rows_near", simple::rows_near),
    plugin("schema_merge", simple::schema_merge),
    plugin("sequence_detect", sequences::sequence_detect),
    plugin("session_count", activity::session_count),
    plugin("sliding_window_counts", activity::sliding_window_counts),
];
