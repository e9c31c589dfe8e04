//! What `render` asks for, in the form Kusto's clients read.

use moneta_kql_plan::Render;
use serde_json::{Map, Value, json};

/// Kusto's `Visualization` object of a result; `None` when the query does not render.
///
/// # Source
/// Kusto query response, table `@ExtendedProperties`, key `Visualization`: names as the clients know them.
pub(crate) fn visualization(render: Option<&Render>) -> Option<Value> {
    let render = render?;
    let mut object = Map::new();
    object.insert("Visualization".to_owned(), json!(render.chart));
    for (name, value) in &render.properties {
        let known = PROPERTIES.iter().find(|(kql, _)| kql.eq_ignore_ascii_case(name));
        object.insert(known.map_or_else(|| name.clone(), |(_, client)| (*client).to_owned()), json!(value));
    }
    Some(Value::Object(object))
}

/// Names of properties in KQL and on the wire.
const PROPERTIES: [(&str, &str); 12] = [
    ("title", "Title"),
    ("xcolumn", "XColumn"),
    ("series", "Series"),
    ("ycolumns", "YColumns"),
    ("anomalycolumns", "AnomalyColumns"),
    ("xtitle", "XTitle"),
    ("ytitle", "YTitle"),
    ("xaxis", "XAxis"),
    ("yaxis", "YAxis"),
    ("legend", "Legend"),
    ("ysplit", "YSplit"),
    ("kind", "Kind"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_have_the_names_clients_know() {
        let render = Render {
            chart: "timechart".into(),
            properties: vec![("title".into(), "x".into()), ("ymin".into(), "0".into())],
        };
        assert_eq!(
            visualization(Some(&render)).unwrap(),
            json!({ "Visualization": "timechart", "Title": "x", "ymin": "0" })
        );
        assert_eq!(visualization(None), None);
    }
}
