//! The shape of `dynamic` values, as `buildschema` tells it.

use serde_json::{Map, Value as Json, json};

/// What values at one place are: any of some scalar types, a bag, an array.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    /// Names of scalar types in the order of their appearance.
    scalars: Vec<String>,
    /// The members of bags.
    members: Option<Vec<(String, Schema)>>,
    /// The elements of arrays.
    elements: Option<Box<Schema>>,
}

impl Schema {
    /// Adds the shape of a value. A null has none.
    pub fn add(&mut self, value: &Json) {
        match value {
            Json::Null => {}
            Json::Bool(_) => self.add_scalar("bool"),
            Json::Number(number) => self.add_scalar(if number.is_f64() { "double" } else { "long" }),
            Json::String(_) => self.add_scalar("string"),
            Json::Array(all) => {
                let elements = self.elements.get_or_insert_default();
                all.iter().for_each(|element| elements.add(element));
            }
            Json::Object(bag) => {
                self.members.get_or_insert_default();
                bag.iter().for_each(|(key, value)| self.member(key).add(value));
            }
        }
    }

    fn add_scalar(&mut self, name: &str) {
        if !self.scalars.iter().any(|known| known == name) {
            self.scalars.push(name.to_owned());
        }
    }

    fn member(&mut self, key: &str) -> &mut Self {
        let members = self.members.get_or_insert_default();
        let at = members.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            members.push((key.to_owned(), Self::default()));
            members.len() - 1
        });
        &mut members[at].1
    }

    /// Adds all shapes of another.
    pub fn merge(&mut self, other: &Self) {
        other.scalars.iter().for_each(|name| self.add_scalar(name));
        if let Some(elements) = &other.elements {
            self.elements.get_or_insert_default().merge(elements);
        }
        if let Some(members) = &other.members {
            self.members.get_or_insert_default();
            members.iter().for_each(|(key, schema)| self.member(key).merge(schema));
        }
    }

    /// The shape as Kusto writes it: a name, a bag, `{"indexer": ..}` for arrays, or an array of several of these.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut forms: Vec<Json> = self.scalars.iter().map(|name| name.as_str().into()).collect();
        if let Some(elements) = &self.elements {
            forms.push(json!({ "indexer": elements.json() }));
        }
        if let Some(members) = &self.members {
            let bag: Map<String, Json> = members.iter().map(|(key, schema)| (key.clone(), schema.json())).collect();
            forms.push(Json::Object(bag));
        }
        if forms.len() == 1 { forms.swap_remove(0) } else { Json::Array(forms) }
    }

    /// The shape in a form that can be read back.
    #[must_use]
    pub fn state(&self) -> Json {
        let members = self.members.as_ref().map(|members| {
            let bag: Map<String, Json> = members.iter().map(|(key, schema)| (key.clone(), schema.state())).collect();
            bag
        });
        json!([self.scalars, members, self.elements.as_ref().map(|elements| elements.state())])
    }

    /// Reads what [`Self::state`] wrote.
    #[must_use]
    pub fn from_state(state: &Json) -> Self {
        let scalars = state[0].as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
        let members = state[1]
            .as_object()
            .map(|bag| bag.iter().map(|(key, schema)| (key.clone(), Self::from_state(schema))).collect());
        let elements = state[2].is_array().then(|| Box::new(Self::from_state(&state[2])));
        Self { scalars, members, elements }
    }

    /// The bytes it takes in memory, roughly.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let members = self.members.iter().flatten().map(|(key, schema)| key.len() + 64 + schema.size_bytes());
        64 + members.sum::<usize>() + self.elements.as_ref().map_or(0, |elements| elements.size_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_joined_and_read_back() {
        let mut schema = Schema::default();
        schema.add(&json!({"x": 1, "y": 3.5}));
        let mut other = Schema::default();
        other.add(&json!({"x": "text", "z": [1, "a"]}));
        other.add(&json!({"y": {"w": "text"}, "n": null}));
        schema.merge(&Schema::from_state(&other.state()));
        let expected = json!({
            "x": ["long", "string"], "y": ["double", {"w": "string"}], "z": {"indexer": ["long", "string"]}, "n": [],
        });
        assert_eq!(schema.json(), expected);
        assert_eq!(Schema::from_state(&schema.state()), schema);
    }
}
