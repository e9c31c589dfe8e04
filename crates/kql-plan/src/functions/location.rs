//! `geo_info_from_ip_address`: where an address is, from a database in MaxMind's format.
//!
//! This crate reads no files: whoever runs the plan puts [`Locations`] into the session's configuration. Without it
//! every address is unknown, and binding warns.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use maxminddb::{Reader, geoip2};
use serde_json::{Map, Value as Json};

use super::row::{Answer, plain};
use super::{Function, Kernel};

/// The name of the function.
pub const NAME: &str = "geo_info_from_ip_address";

/// The declarations.
pub const FUNCTIONS: &[Function] = &[Function::new(
    NAME,
    &["(ip: text) -> dynamic"],
    Kernel::Native(|call| Locate::call(call.args), |_, _| Answer::Null),
)
.doc("Where an address is, from the configured database of locations; null if it is not known.", &[])];

/// Tells where addresses are.
pub trait IpLocator: Send + Sync + std::fmt::Debug {
    /// The location as a bag of `country`, `state`, `city`, `latitude` and `longitude`, as far as they are known.
    fn locate(&self, address: IpAddr) -> Option<Json>;
}

/// A database in MaxMind's format.
#[derive(Debug)]
pub struct MaxMind(Reader<Vec<u8>>);

impl MaxMind {
    /// Reads the bytes of a database.
    ///
    /// # Errors
    /// If they are no database.
    pub fn from_bytes(bytes: Vec<u8>) -> std::result::Result<Self, String> {
        Reader::from_source(bytes).map(Self).map_err(|error| format!("no database of locations: {error}"))
    }
}

impl IpLocator for MaxMind {
    fn locate(&self, address: IpAddr) -> Option<Json> {
        let city: geoip2::City<'_> = self.0.lookup(address).ok()?.decode().ok()??;
        let mut bag = Map::new();
        let mut put = |key: &str, value: Option<Json>| value.and_then(|value| bag.insert(key.to_owned(), value));
        put("country", city.country.names.english.map(Json::from));
        put("state", city.subdivisions.first().and_then(|part| part.names.english).map(Json::from));
        put("city", city.city.names.english.map(Json::from));
        put("latitude", city.location.latitude.map(Json::from));
        put("longitude", city.location.longitude.map(Json::from));
        (!bag.is_empty()).then_some(Json::Object(bag))
    }
}

/// The session's database of locations.
#[derive(Debug, Clone)]
pub struct Locations(pub Arc<dyn IpLocator>);

impl ConfigExtension for Locations {
    const PREFIX: &'static str = "moneta_locations";
}

impl ExtensionOptions for Locations {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _: &str) -> Result<()> {
        Err(DataFusionError::Configuration(format!("the locations have no option {key}")))
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

/// The function as DataFusion sees it.
#[derive(Debug)]
struct Locate {
    signature: Signature,
}

impl Locate {
    fn call(args: Vec<Expr>) -> Expr {
        // Stable, not immutable: the answer depends on the session.
        let signature = Signature::variadic_any(Volatility::Stable);
        ScalarUDF::new_from_impl(Self { signature }).call(args)
    }
}

impl PartialEq for Locate {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Locate {}

impl Hash for Locate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NAME.hash(state);
    }
}

impl ScalarUDFImpl for Locate {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let locations = args.config_options.extensions.get::<Locations>();
        let addresses = plain(&args.args[0].to_array(args.number_rows)?)?;
        let addresses = addresses.as_string::<i32>();
        let mut out = StringBuilder::with_capacity(addresses.len(), 0);
        for address in addresses {
            let address = address.and_then(|text| text.trim().parse::<IpAddr>().ok());
            let found = locations.zip(address).and_then(|(locations, address)| locations.0.locate(address));
            out.append_option(found.map(|location| location.to_string()));
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_database_are_refused() {
        assert!(MaxMind::from_bytes(b"text".to_vec()).unwrap_err().contains("no database"));
    }
}
